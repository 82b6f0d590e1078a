"""A real ComfyUI beside each instance: started with it, gone with it, and struck by signals.

It is what systemd is on an instance: it starts a server that has died again, and restarts one when the scheduler asks.
"""

from __future__ import annotations

import shlex
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sdfleet.domain.task import RuntimeType
from sdfleet.errors import LocalModeError
from sdfleet.telemetry import logs
from sdfleet_local.chaos.comfyui_process import ComfyUiProcess
from sdfleet_local.chaos.comfyui_workload import ComfyUiWorkload, Fingerprint, fingerprint_in, fingerprint_of
from sdfleet_local.chaos.runtime_double import Job
from sdfleet_local.chaos.schedule import FaultKind
from sdfleet_local.chaos.traffic import RUNTIME
from sdfleet_local.plan import PlannedRuntime

log = logs.get_logger(__name__)

#: Hundreds of times what a workflow of the storm takes without a word.
_HANG_AFTER_S = 10.0
#: Torch alone takes twenty seconds to import on two idle cores; three servers may start at once on busy ones.
_RESTART_AFTER_S = 120.0
#: A hang is found (10 s), the stop given up (30 s), a probe fails (30 s), the restart is due (120 s), and some seconds.
_HANG_ENDS_WITHIN_S = 240.0
#: So long as a busy machine needs for the first answer, the task's time limit is not to be the first to end it.
_TASK_TIMEOUT_S = 300
_LOOK_S = 0.15
#: Between two looks at the group.
_MEMBERS_EVERY_S = 1.0

#: The instances, as `sdfleet local instances --json` has them; None while nobody knows.
Members = Callable[[], list[dict[str, Any]] | None]


@dataclass
class _Server:
    instance_id: str
    process: ComfyUiProcess
    #: Monotonic seconds: it is not started before this.
    down_until: float = 0.0
    #: Since when only a restart can help it.
    hung_since: float | None = None
    resumes_at: float | None = None
    #: What its jobs met, if they end now.
    fault: FaultKind | None = None
    #: By prompt id.
    working: dict[str, Job] = field(default_factory=dict)


class ComfyUiRack:
    """Implements `Runtimes`."""

    def __init__(
        self, command: str, directory: Path, *, job_s: float, task_ids: Sequence[str], keep_logs: Path | None
    ) -> None:
        """`directory`: for logs, unless they are kept, and for the schedulers' requests to restart.

        Raises:
            LocalModeError: there is no such command.
        """
        if shutil.which(shlex.split(command)[0]) is None:
            raise LocalModeError(f"There is no command {command!r}; name a script that starts ComfyUI on a port.")
        self._command = command
        self._logs = keep_logs or directory / "logs"
        self._requests = directory / "restarts"
        for folder in (self._logs, self._requests):
            folder.mkdir(parents=True, exist_ok=True)
        self.workload = ComfyUiWorkload(seconds=job_s)
        self._tasks: dict[Fingerprint, str] = {fingerprint_of(task_id): task_id for task_id in task_ids}
        self._servers: dict[str, _Server] = {}
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self.jobs: list[Job] = []
        #: Seconds from a hang to the restart that a scheduler asked for.
        self.hangs_ended_s: list[float] = []
        self._unended: list[str] = []

    def planned(self) -> PlannedRuntime:
        return PlannedRuntime(
            name=RUNTIME,
            type=RuntimeType.COMFYUI,
            url="http://127.0.0.1:{port}",
            restart_command=f"touch {shlex.quote(str(self._requests))}/{{instance_id}}",
            restart_after_s=_RESTART_AFTER_S,
            hang_after_s=_HANG_AFTER_S,
            timeout_s=_TASK_TIMEOUT_S,
        )

    def attend(self, members: Members) -> None:
        """Have a server beside each instance from now on."""
        self._thread = threading.Thread(target=self._tend, args=(members,), name="comfyui rack", daemon=True)
        self._thread.start()

    @property
    def unended_hangs(self) -> Sequence[str]:
        with self._lock:
            late = [one.instance_id for one in self._servers.values() if self._hangs_too_long(one)]
            return [*self._unended, *late]

    def strike(self, kind: FaultKind, instance_id: str, *, lasts_s: float, jobs: int) -> bool:
        with self._lock:
            server = self._servers.get(instance_id)
            if server is None or not self._may_strike(server):
                return False
            log.info("runtime.struck", kind=kind, instance_id=instance_id, lasts_s=lasts_s)
            return self._strike(kind, server, time.monotonic() + lasts_s)

    def strike_all(self, *, lasts_s: float) -> bool:
        with self._lock:
            struck = [server for server in self._servers.values() if self._may_strike(server)]
            until = time.monotonic() + lasts_s
            for server in struck:
                self._strike(FaultKind.RUNTIMES_DIE, server, until)
            return bool(struck)

    def is_busy(self, instance_id: str) -> bool:
        with self._lock:
            server = self._servers.get(instance_id)
            return server is not None and bool(server.working)

    def is_up(self, instance_id: str) -> bool:
        with self._lock:
            server = self._servers.get(instance_id)
            return server is not None and self._may_strike(server)

    def close(self) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
        for server in self._servers.values():
            server.process.close()

    def _may_strike(self, server: _Server) -> bool:
        return server.process.is_up and server.hung_since is None and server.resumes_at is None

    def _strike(self, kind: FaultKind, server: _Server, until: float) -> bool:
        server.fault = kind
        if kind is FaultKind.RUNTIME_HANGS:
            server.process.stop()
            server.hung_since = time.monotonic()
        elif kind is FaultKind.RUNTIME_SLOW:
            server.process.stop()
            server.resumes_at = until
        elif kind is FaultKind.RUNTIME_WEDGES:
            if not server.process.wedge():
                return False
            server.hung_since = time.monotonic()
        else:
            self._kill(server)
            server.down_until = until
        return True

    def _kill(self, server: _Server) -> None:
        server.process.kill()
        server.hung_since = server.resumes_at = None
        for job in server.working.values():
            _end(job, server.fault or "died")
        server.working.clear()
        server.fault = None

    def _tend(self, members: Members) -> None:
        looked_at = 0.0
        while not self._stopping.wait(_LOOK_S):
            now = time.monotonic()
            if now - looked_at >= _MEMBERS_EVERY_S:
                looked_at = now
                found = members()
                if found is not None:
                    self._follow_group(found)
            for server in list(self._servers.values()):
                with self._lock:
                    self._look_after(server, now)

    def _follow_group(self, members: list[dict[str, Any]]) -> None:
        with self._lock:
            present = {str(one["instance_id"]): one for one in members}
            for instance_id in self._servers.keys() - present.keys():
                self._remove(self._servers.pop(instance_id))
            for instance_id in present.keys() - self._servers.keys():
                port = urlsplit(str(present[instance_id]["runtime_url"])).port or 0
                process = ComfyUiProcess(self._command, port, self._logs / f"comfyui-{instance_id}.log")
                self._servers[instance_id] = _Server(instance_id, process)

    def _remove(self, server: _Server) -> None:
        """Its instance is gone, and the machine with it."""
        if self._hangs_too_long(server):
            self._unended.append(server.instance_id)
        for job in server.working.values():
            _end(job, "abandoned")
        server.process.close()

    def _hangs_too_long(self, server: _Server) -> bool:
        return server.hung_since is not None and time.monotonic() - server.hung_since > _HANG_ENDS_WITHIN_S

    def _look_after(self, server: _Server, now: float) -> None:
        request = self._requests / server.instance_id
        if request.exists():
            request.unlink()
            if server.hung_since is not None:
                self.hangs_ended_s.append(now - server.hung_since)
            log.info("runtime.restart_asked", instance_id=server.instance_id, was_hung=server.hung_since is not None)
            self._kill(server)
        if not server.process.is_running:
            if now >= server.down_until:
                server.process.start()
        elif server.process.is_stopped:
            if server.resumes_at is not None and now >= server.resumes_at:
                server.process.resume()
                server.resumes_at = server.fault = None
        else:
            self._note_jobs(server)

    def _note_jobs(self, server: _Server) -> None:
        running = server.process.running()
        if running is None:
            return
        for prompt_id in server.working.keys() - running.keys():
            job = server.working.pop(prompt_id)
            _end(job, "answered" if server.process.has_succeeded(prompt_id) else "interrupted")
        for prompt_id in running.keys() - server.working.keys():
            fingerprint = fingerprint_in(running[prompt_id])
            task_id = self._tasks.get(fingerprint) if fingerprint is not None else None
            if task_id is not None:
                job = Job(task_id, server.instance_id, time.monotonic())
                server.working[prompt_id] = job
                self.jobs.append(job)


def _end(job: Job, outcome: str) -> None:
    job.ended_at = time.monotonic()
    job.outcome = outcome
