"""A termination hook on EC2 Auto Scaling."""

from __future__ import annotations

from typing import Any

from sdfleet.aws.error_mapping import translated


class AutoScalingLifecycleHooks:
    def __init__(self, client: Any, *, group_name: str, hook_name: str) -> None:
        self._client = client
        self._hook = {"AutoScalingGroupName": group_name, "LifecycleHookName": hook_name}

    def complete(self, instance_id: str) -> None:
        # An instance that goes, goes: for it ABANDON would only skip the other hooks of the group.
        with translated():
            self._client.complete_lifecycle_action(
                **self._hook, InstanceId=instance_id, LifecycleActionResult="CONTINUE"
            )

    def heartbeat(self, instance_id: str) -> None:
        with translated():
            self._client.record_lifecycle_action_heartbeat(**self._hook, InstanceId=instance_id)
