"""An instance's health on EC2 Auto Scaling."""

from __future__ import annotations

from typing import Any

from sdfleet.aws.error_mapping import translated


class AutoScalingInstanceHealth:
    def __init__(self, client: Any) -> None:
        self._client = client

    def report_unhealthy(self, instance_id: str) -> None:
        with translated():
            self._client.set_instance_health(
                InstanceId=instance_id,
                HealthStatus="Unhealthy",
                # The grace period is for instances that may still become healthy.
                ShouldRespectGracePeriod=False,
            )
