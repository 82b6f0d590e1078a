"""An Auto Scaling group as the fast scaler changes it (Auto Scaling API reference)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sdfleet.aws.error_mapping import translated
from sdfleet.domain.scaling import Limits
from sdfleet.errors import ServiceUnavailable
from sdfleet.fleet_ports import GroupInstance, GroupState

if TYPE_CHECKING:
    from mypy_boto3_autoscaling import AutoScalingClient

#: The process by which alarms reach the group (User Guide, "Suspend and resume Amazon EC2 Auto Scaling processes").
_ALARMS = "AlarmNotification"
_IN_SERVICE = "InService"
_COMING = "Pending"


class AutoScalingScaledGroup:
    def __init__(self, client: AutoScalingClient, group_name: str) -> None:
        self._client = client
        self._name = group_name

    def look(self) -> GroupState:
        group = self._described()
        policy: Any = group.get("MixedInstancesPolicy") or {}
        suspended = {one["ProcessName"] for one in group.get("SuspendedProcesses") or ()}
        return GroupState(
            desired=group["DesiredCapacity"],
            limits=Limits(group["MinSize"], group["MaxSize"]),
            template_version=_version(group),
            instances=tuple(
                GroupInstance(one["InstanceId"], one["LifecycleState"] == _IN_SERVICE, _version(one))
                for one in group.get("Instances") or ()
                if one["LifecycleState"] == _IN_SERVICE or one["LifecycleState"].startswith(_COMING)
            ),
            on_demand_base=int(policy.get("InstancesDistribution", {}).get("OnDemandBaseCapacity") or 0),
            is_suspended=_ALARMS in suspended,
        )

    def raise_to(self, desired: int) -> None:
        with translated():
            self._client.set_desired_capacity(
                AutoScalingGroupName=self._name, DesiredCapacity=desired, HonorCooldown=False
            )

    def remove(self, instance_id: str) -> None:
        with translated():
            self._client.terminate_instance_in_auto_scaling_group(
                InstanceId=instance_id, ShouldDecrementDesiredCapacity=True
            )

    def set_on_demand_base(self, count: int) -> None:
        policy: Any = self._described().get("MixedInstancesPolicy")
        if policy is None:
            raise ServiceUnavailable(
                f"{self._name} has no mixed instances policy; deploy the service with ./deploy.sh."
            )
        # Given whole: what a policy leaves out might go back to its default, which for On-Demand is 100 %. Nothing of
        # it changes meanwhile: a refresh, which moves the template's version, holds the policy against everybody.
        template = policy["LaunchTemplate"]["LaunchTemplateSpecification"]
        changed: Any = {
            "LaunchTemplate": {
                **policy["LaunchTemplate"],
                "LaunchTemplateSpecification": {
                    "LaunchTemplateId": template["LaunchTemplateId"],
                    "Version": template["Version"],
                },
            },
            "InstancesDistribution": {**policy.get("InstancesDistribution", {}), "OnDemandBaseCapacity": count},
        }
        with translated():
            self._client.update_auto_scaling_group(AutoScalingGroupName=self._name, MixedInstancesPolicy=changed)

    def suspend_alarms(self) -> None:
        with translated():
            self._client.suspend_processes(AutoScalingGroupName=self._name, ScalingProcesses=[_ALARMS])

    def resume_alarms(self) -> None:
        with translated():
            self._client.resume_processes(AutoScalingGroupName=self._name, ScalingProcesses=[_ALARMS])

    def _described(self) -> Any:
        with translated():
            answer = self._client.describe_auto_scaling_groups(AutoScalingGroupNames=[self._name])
        for group in answer["AutoScalingGroups"]:
            return group
        raise ServiceUnavailable(f"There is no Auto Scaling group {self._name}.")


def _version(described: Any) -> str:
    """Of the launch template of a group or an instance."""
    policy: Any = described.get("MixedInstancesPolicy")
    template: Any = policy["LaunchTemplate"]["LaunchTemplateSpecification"] if policy else described["LaunchTemplate"]
    return str(template.get("Version", ""))
