"""A group and its instances as Auto Scaling's describe calls show them (API reference, AutoScalingGroup, Instance)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sdfleet_local.instance import LifecycleState
from sdfleet_local.plan import ACCOUNT
from sdfleet_local.scaling_dynamic import DynamicScaling
from sdfleet_local.scaling_processes import Process
from sdfleet_local.scaling_sizes import Sizes
from sdfleet_local.scaling_templates import Configuration, Template


@dataclass(frozen=True)
class MemberDescription:
    instance_id: str
    state: LifecycleState
    template: Template
    availability_zone: str
    is_protected: bool
    is_healthy: bool

    def to_answer(self) -> dict[str, Any]:
        return {
            "InstanceId": self.instance_id,
            "InstanceType": "local",
            "AvailabilityZone": self.availability_zone,
            "LifecycleState": self.state.value,
            "HealthStatus": "Healthy" if self.is_healthy else "Unhealthy",
            "LaunchTemplate": self.template.to_specification(),
            "ProtectedFromScaleIn": self.is_protected,
        }


@dataclass(frozen=True)
class GroupDescription:
    name: str
    sizes: Sizes
    configuration: Configuration
    members: tuple[MemberDescription, ...]
    created_at: datetime
    region: str
    scaling: DynamicScaling
    suspended: frozenset[Process]
    #: HealthCheckGracePeriod.
    grace: timedelta
    protects_new: bool

    @property
    def arn(self) -> str:
        return f"arn:aws:autoscaling:{self.region}:{ACCOUNT}:autoScalingGroup:local:autoScalingGroupName/{self.name}"

    def to_answer(self, *, has_instances: bool) -> dict[str, Any]:
        warmup = self.scaling.warmup
        return {
            "AutoScalingGroupName": self.name,
            "AutoScalingGroupARN": self.arn,
            **self.configuration.to_answer(),
            "MinSize": self.sizes.minimum,
            "MaxSize": self.sizes.maximum,
            "DesiredCapacity": self.sizes.desired,
            "DefaultCooldown": int(self.scaling.cooldown.total_seconds()),
            "DefaultInstanceWarmup": None if warmup is None else int(warmup.total_seconds()),
            # Health is what the instance itself says.
            "HealthCheckType": "EC2",
            "HealthCheckGracePeriod": int(self.grace.total_seconds()),
            "AvailabilityZones": [f"{self.region}a"],
            "Instances": [member.to_answer() for member in self.members] if has_instances else [],
            "CreatedTime": self.created_at,
            "NewInstancesProtectedFromScaleIn": self.protects_new,
            "CapacityRebalance": True,
            "TerminationPolicies": ["Default"],
            "SuspendedProcesses": [
                {"ProcessName": one.value, "SuspensionReason": "User suspended"} for one in sorted(self.suspended)
            ],
        }
