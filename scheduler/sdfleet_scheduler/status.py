"""What this instance is doing, for /readyz and /v1/status."""

from __future__ import annotations

from typing import Any

from sdfleet.environment import RuntimeEnvironment
from sdfleet_scheduler.drain import Drain
from sdfleet_scheduler.executor import Executor
from sdfleet_scheduler.health import RuntimeHealth
from sdfleet_scheduler.identity import Identity
from sdfleet_scheduler.interruption_watch import InterruptionWatch


class StatusBoard:
    def __init__(
        self,
        identity: Identity,
        runtime: RuntimeEnvironment,
        executor: Executor,
        health: RuntimeHealth,
        drain: Drain,
        watch: InterruptionWatch,
    ) -> None:
        self._identity = identity
        self._runtime = runtime
        self._executor = executor
        self._health = health
        self._drain = drain
        self._watch = watch

    def unready_reason(self) -> str | None:
        if self._drain.notice is not None:
            return f"draining: {self._drain.notice.kind}"
        return None if self._health.is_ready else "the runtime is not ready"

    def view(self) -> dict[str, Any]:
        notice = self._drain.notice
        return {
            "instance_id": self._identity.instance_id,
            "release": self._identity.release,
            "runtime": self._runtime.name,
            "runtime_type": self._runtime.type,
            "ready": self.unready_reason() is None,
            "draining": None if notice is None else {"kind": notice.kind, "deadline": notice.deadline.isoformat()},
            "rebalance_recommended": self._watch.is_rebalance_recommended,
            "tasks": [
                {
                    "id": run.message.task_id,
                    "claimed": run.claimed_at is not None,
                    "settling": run.is_settling,
                    "progress": round(run.progress, 3),
                    "attempt": run.record.task.attempt,
                }
                for run in self._executor.runs
            ],
        }
