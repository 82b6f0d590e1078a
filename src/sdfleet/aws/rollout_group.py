"""The Auto Scaling group of a fleet, as a rollout sees it: launch template versions and instance refreshes.

Requests follow the Auto Scaling and EC2 API references. What they demand for a rollback to be possible: a desired
configuration given at the start, with a numbered launch template version whose AMI is an id.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from sdfleet.aws.operator_errors import code_of, explained
from sdfleet.aws.trial_alarms import TrialAlarms
from sdfleet.domain import names
from sdfleet.domain.instance_refresh import (
    Action,
    CancelRefresh,
    EndTrial,
    Observed,
    Refresh,
    RefreshStatus,
    RollBackRefresh,
    SetMinimum,
    StartRefresh,
    TrialWatch,
    WatchTrial,
)
from sdfleet.domain.release import Release
from sdfleet.domain.trial import Runs
from sdfleet.errors import DeploymentError, DeploymentRefused
from sdfleet.fleet_ports import FleetState
from sdfleet.ports import Clock

if TYPE_CHECKING:
    from mypy_boto3_autoscaling import AutoScalingClient
    from mypy_boto3_autoscaling.type_defs import AutoScalingGroupTypeDef, DesiredConfigurationTypeDef
    from mypy_boto3_ec2 import EC2Client

#: CloudFormation's versions of the launch template carry it as their description; a release is made from the newest.
BASE_VERSION = "base"
#: A new instance is in service before an old one goes: capacity never falls under what the queue has asked for.
_MIN_HEALTHY_PERCENT = 100
#: At most as many again at once, which also replaces a fleet of one.
_MAX_HEALTHY_PERCENT = 200
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
#: What these say, an earlier try of ours has done, or Auto Scaling has by itself.
_DONE_ALREADY = {"InstanceRefreshInProgress", "ActiveInstanceRefreshNotFound", "IrreversibleInstanceRefresh"}


class AutoScalingRolloutGroup:
    """Every call may raise DeploymentError."""

    def __init__(
        self,
        autoscaling: AutoScalingClient,
        ec2: EC2Client,
        clock: Clock,
        *,
        group_name: str,
        alarms: TrialAlarms,
    ) -> None:
        self._autoscaling = autoscaling
        self._ec2 = ec2
        self._clock = clock
        self._name = group_name
        self._alarms = alarms

    def state(self) -> FleetState:
        group = self._group()
        # Those on their way out take no tasks any more.
        instance_ids = [
            one["InstanceId"] for one in group.get("Instances", ()) if not one["LifecycleState"].startswith("Terminat")
        ]
        return FleetState(
            capacity=group["DesiredCapacity"],
            minimum=group["MinSize"],
            maximum=group["MaxSize"],
            template_version=_template(group)["Version"],
            releases=self._releases(instance_ids),
        )

    def observed(self) -> Observed:
        # The time before the call: what it answers is at least as new.
        at = self._clock.now()
        with explained():
            answer = self._autoscaling.describe_instance_refreshes(AutoScalingGroupName=self._name)
        group = self._group()
        return Observed(
            at,
            tuple(_refresh(one, at) for one in answer["InstanceRefreshes"]),
            minimum=group["MinSize"],
            in_service=sum(one["LifecycleState"] == "InService" for one in group.get("Instances", ())),
            watch=self._watch(),
        )

    def _watch(self) -> TrialWatch:
        try:
            return self._alarms.watch()
        except DeploymentError:
            # Who may look at a rollout need not be let into CloudWatch.
            return TrialWatch.UNKNOWN

    def ringing(self) -> Sequence[str]:
        return self._alarms.ringing()

    def runs(self, releases: Sequence[str], *, since: datetime, until: datetime | None = None) -> Mapping[str, Runs]:
        # What is counted within this minute is of the minute.
        return self._alarms.runs(releases, since=since, until=(until or self._clock.now()) + timedelta(minutes=1))

    def add_template_version(self, release: Release) -> str:
        self._alarms.check()
        template_id = _template(self._group())["LaunchTemplateId"]
        description = f"release {release.version}"
        base: Any = None
        for version in self._versions(template_id):
            if version.get("VersionDescription") == description:
                # An earlier try was cut off behind this call.
                return str(version["VersionNumber"])
            if version.get("VersionDescription") == BASE_VERSION and base is None:
                base = version
        if base is None:
            raise DeploymentRefused(
                f"The launch template of {self._name} has no version described as {BASE_VERSION!r}; deploy the service "
                "again with ./deploy.sh."
            )
        with explained():
            answer = self._ec2.create_launch_template_version(
                LaunchTemplateId=template_id,
                SourceVersion=str(base["VersionNumber"]),
                VersionDescription=description,
                LaunchTemplateData=_changes(base["LaunchTemplateData"], release),
            )
        return str(answer["LaunchTemplateVersion"]["VersionNumber"])

    def carry_out(self, action: Action) -> None:
        with explained():
            try:
                self._call(action)
            except ClientError as error:
                if code_of(error) not in _DONE_ALREADY:
                    raise

    def _call(self, action: Action) -> None:
        match action:
            case CancelRefresh():
                self._autoscaling.cancel_instance_refresh(AutoScalingGroupName=self._name)
            case RollBackRefresh():
                self._autoscaling.rollback_instance_refresh(AutoScalingGroupName=self._name)
            case SetMinimum():
                # A desired capacity below it follows by itself (UpdateAutoScalingGroup, API reference).
                self._autoscaling.update_auto_scaling_group(AutoScalingGroupName=self._name, MinSize=action.minimum)
            case WatchTrial():
                self._alarms.mend_trial(action.release)
            case EndTrial():
                self._alarms.end_trial()
            case StartRefresh():
                alarms = () if action.release is None else self._alarms.begin_trial(action.release)
                self._autoscaling.start_instance_refresh(
                    AutoScalingGroupName=self._name,
                    Strategy="Rolling",
                    DesiredConfiguration=self._desired(action.template_version),
                    Preferences={
                        "MinHealthyPercentage": _MIN_HEALTHY_PERCENT,
                        "MaxHealthyPercentage": _MAX_HEALTHY_PERCENT,
                        # In service means ready: the launch hook ends with a first picture.
                        "InstanceWarmup": 0,
                        "CheckpointPercentages": list(action.checkpoints),
                        "CheckpointDelay": _seconds(action.checkpoint_delay),
                        "BakeTime": _seconds(action.bake),
                        "SkipMatching": True,
                        "AutoRollback": action.auto_rollback,
                        # A protected one has a long task; its termination hook waits for the end of it. `Wait` would
                        # fail the refresh after an hour.
                        "ScaleInProtectedInstances": "Refresh",
                        "StandbyInstances": "Ignore",
                        **({"AlarmSpecification": {"Alarms": list(alarms)}} if alarms else {}),
                    },
                )

    def _desired(self, template_version: str) -> DesiredConfigurationTypeDef:
        """The group's own policy with another version; a mixed policy cannot be changed to a plain template."""
        group = self._group()
        policy: Any = group.get("MixedInstancesPolicy")
        if policy is None:
            template = group["LaunchTemplate"]
            return {"LaunchTemplate": {"LaunchTemplateId": template["LaunchTemplateId"], "Version": template_version}}
        changed: Any = {
            **policy,
            "LaunchTemplate": {
                **policy["LaunchTemplate"],
                "LaunchTemplateSpecification": {
                    "LaunchTemplateId": policy["LaunchTemplate"]["LaunchTemplateSpecification"]["LaunchTemplateId"],
                    "Version": template_version,
                },
            },
        }
        return {"MixedInstancesPolicy": changed}

    def _group(self) -> AutoScalingGroupTypeDef:
        with explained():
            answer = self._autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[self._name])
        for group in answer["AutoScalingGroups"]:
            return group
        raise DeploymentRefused(f"There is no Auto Scaling group {self._name}; deploy the service with ./deploy.sh.")

    def _versions(self, template_id: str) -> Iterator[Any]:
        """Newest first."""
        with explained():
            pages = self._ec2.get_paginator("describe_launch_template_versions").paginate(LaunchTemplateId=template_id)
            versions = [version for page in pages for version in page["LaunchTemplateVersions"]]
        yield from sorted(versions, key=lambda version: version["VersionNumber"], reverse=True)

    def _releases(self, instance_ids: list[str]) -> dict[str, int]:
        if not instance_ids:
            return {}
        with explained():
            answer = self._ec2.describe_tags(
                Filters=[
                    {"Name": "resource-id", "Values": instance_ids},
                    {"Name": "key", "Values": [names.RELEASE_TAG]},
                ]
            )
        return dict(Counter(tag["Value"] for tag in answer["Tags"]))


def _template(group: AutoScalingGroupTypeDef) -> Any:
    policy: Any = group.get("MixedInstancesPolicy")
    return group["LaunchTemplate"] if policy is None else policy["LaunchTemplate"]["LaunchTemplateSpecification"]


def _refresh(described: Any, at: datetime) -> Refresh:
    desired = described.get("DesiredConfiguration", {})
    template = desired.get("LaunchTemplate") or desired.get("MixedInstancesPolicy", {}).get("LaunchTemplate", {}).get(
        "LaunchTemplateSpecification", {}
    )
    status = RefreshStatus(described["Status"])
    # Absent as long as it is Pending: then it is the newest; and for good where it was cancelled while it was.
    started_at = described.get("StartTime", described.get("EndTime", _LONG_AGO) if status.is_over else at)
    return Refresh(
        id=described["InstanceRefreshId"],
        status=status,
        template_version=template.get("Version"),
        started_at=started_at.astimezone(UTC),
        percentage_complete=described.get("PercentageComplete", 0),
        reason=described.get("StatusReason"),
    )


def _changes(base: Any, release: Release) -> Any:
    """What a release changes of the base version: tags and AMI. A list is given whole, as it replaces the former."""
    own = {names.RELEASE_TAG: release.version, names.SCHEDULER_IMAGE_TAG: release.scheduler_image}
    if release.runtime_image is not None:
        own[names.RUNTIME_IMAGE_TAG] = release.runtime_image
    specifications = []
    for specification in base.get("TagSpecifications", ()):
        tags = {tag["Key"]: tag["Value"] for tag in specification["Tags"]}
        if specification["ResourceType"] == "instance":
            tags |= own
        specifications.append(
            {
                "ResourceType": specification["ResourceType"],
                "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
            }
        )
    changes: dict[str, Any] = {"TagSpecifications": specifications}
    if release.ami_id is not None:
        changes["ImageId"] = release.ami_id
    return changes


def _seconds(wait: timedelta) -> int:
    return int(wait.total_seconds())
