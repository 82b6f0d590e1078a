"""Lifecycle hooks of a group, and its waits for them.

Rules: Auto Scaling User Guide, "Amazon EC2 Auto Scaling lifecycle hooks"; API reference, PutLifecycleHook,
CompleteLifecycleAction, RecordLifecycleActionHeartbeat.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sdfleet.domain import interruption
from sdfleet_local.scaling_errors import LimitExceeded

#: PutLifecycleHook, "The default value is 3600 seconds".
DEFAULT_HEARTBEAT_TIMEOUT = timedelta(hours=1)
#: PutLifecycleHook: "your maximum limit of lifecycle hooks, which by default is 50 per Auto Scaling group".
MOST_HOOKS = 50


class Transition(StrEnum):
    LAUNCHING = "autoscaling:EC2_INSTANCE_LAUNCHING"
    TERMINATING = "autoscaling:EC2_INSTANCE_TERMINATING"


class HookResult(StrEnum):
    CONTINUE = "CONTINUE"
    ABANDON = "ABANDON"


@dataclass(frozen=True)
class LifecycleHook:
    name: str
    transition: Transition
    heartbeat_timeout: timedelta = DEFAULT_HEARTBEAT_TIMEOUT
    default_result: HookResult = HookResult.ABANDON

    def to_answer(self, group: str) -> dict[str, Any]:
        return {
            "LifecycleHookName": self.name,
            "AutoScalingGroupName": group,
            "LifecycleTransition": self.transition.value,
            "HeartbeatTimeout": int(self.heartbeat_timeout.total_seconds()),
            "GlobalTimeout": int(interruption.longest_wait(self.heartbeat_timeout).total_seconds()),
            "DefaultResult": self.default_result.value,
        }


@dataclass
class LifecycleAction:
    """A group's wait for one instance and one hook."""

    instance_id: str
    hook: LifecycleHook
    began_at: datetime
    expires_at: datetime
    #: None: nobody has said.
    result: HookResult | None = None
    token: str = field(default_factory=lambda: str(uuid.UUID(bytes=secrets.token_bytes(16), version=4)))

    @classmethod
    def begun(cls, instance_id: str, hook: LifecycleHook, now: datetime) -> LifecycleAction:
        return cls(instance_id, hook, now, now + hook.heartbeat_timeout)

    def is_over(self, now: datetime) -> bool:
        return self.result is not None or now >= self.expires_at

    def outcome(self, now: datetime) -> HookResult | None:
        """None: it waits."""
        return (self.result or self.hook.default_result) if self.is_over(now) else None

    def extend(self, now: datetime) -> None:
        """A heartbeat: the timeout begins anew, up to the hook's global timeout."""
        latest = self.began_at + interruption.longest_wait(self.hook.heartbeat_timeout)
        self.expires_at = min(latest, now + self.hook.heartbeat_timeout)

    @property
    def abandonment(self) -> str:
        """Auto Scaling's words for the end of a launch (User Guide, "Tutorial: Configure user data [...]")."""
        why = "Heartbeat Timeout" if self.result is None else "Lifecycle Action Completed with ABANDON Result"
        return (
            "Instance failed to complete user's Lifecycle Action: Lifecycle Action with token "
            f"{self.token} was abandoned: {why}"
        )


def outcome_of(actions: Sequence[LifecycleAction], now: datetime) -> HookResult | None:
    """Of all hooks of one transition; None: one waits still.

    User Guide, "Complete a lifecycle action": "ABANDON stops any remaining actions, such as other lifecycle hooks".
    """
    outcomes = [action.outcome(now) for action in actions]
    if HookResult.ABANDON in outcomes:
        return HookResult.ABANDON
    return None if None in outcomes else HookResult.CONTINUE


class HookBook:
    """The hooks of one group. Not safe in threads: the group's lock is held around every call."""

    def __init__(self, hooks: Sequence[LifecycleHook] = ()) -> None:
        self._hooks = {hook.name: hook for hook in hooks}

    def all(self) -> tuple[LifecycleHook, ...]:
        return tuple(self._hooks.values())

    def find(self, name: str) -> LifecycleHook | None:
        return self._hooks.get(name)

    def of(self, transition: Transition) -> tuple[LifecycleHook, ...]:
        return tuple(hook for hook in self._hooks.values() if hook.transition is transition)

    def put(self, hook: LifecycleHook) -> None:
        """One of the same name is replaced; waits under way stay as they began.

        Raises:
            LimitExceeded: the group has fifty.
        """
        if hook.name not in self._hooks and len(self._hooks) >= MOST_HOOKS:
            raise LimitExceeded(f"You have reached your limit of {MOST_HOOKS} lifecycle hooks per Auto Scaling group.")
        self._hooks[hook.name] = hook

    def delete(self, name: str) -> None:
        self._hooks.pop(name, None)
