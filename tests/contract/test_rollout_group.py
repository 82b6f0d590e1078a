"""A fleet's group behind its port: moto keeps group and launch template, botocore's model checks the rest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.stub import ANY, Stubber

from builders import NOON
from sdfleet.aws.clients import Clients
from sdfleet.aws.rollout_group import AutoScalingRolloutGroup
from sdfleet.aws.trial_alarms import TrialAlarms
from sdfleet.domain.instance_refresh import (
    CancelRefresh,
    EndTrial,
    RefreshStatus,
    RollBackRefresh,
    SetMinimum,
    StartRefresh,
    TrialWatch,
    WatchTrial,
)
from sdfleet.domain.release import Release
from sdfleet.errors import DeploymentError, DeploymentRefused, TrialUnwatched
from sdfleet.memory.clock import FakeClock
from sdfleet.memory.release_store import MemoryReleaseStore

RELEASE = Release("1.1.0", NOON, "ada", "registry/scheduler@sha256:ab", runtime_image="registry/sd@sha256:cd")
START = StartRefresh("4", (20, 100), timedelta(minutes=15), timedelta(minutes=15), auto_rollback=True, release="1.1.0")
HOUR = timedelta(hours=1)
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
POLICY: dict[str, Any] = {
    "LaunchTemplate": {
        "LaunchTemplateSpecification": {"LaunchTemplateId": "lt-1", "LaunchTemplateName": "fleet", "Version": "3"},
        "Overrides": [{"InstanceType": "g5.xlarge"}],
    },
    "InstancesDistribution": {"OnDemandPercentageAboveBaseCapacity": 0},
}
GROUP: dict[str, Any] = {
    "AutoScalingGroupName": "sd",
    "MinSize": 0,
    "MaxSize": 5,
    "DesiredCapacity": 5,
    "DefaultCooldown": 300,
    "AvailabilityZones": ["us-east-1a"],
    "HealthCheckType": "EC2",
    "CreatedTime": NOON,
    "MixedInstancesPolicy": POLICY,
}

INSTANCE: dict[str, Any] = {"AvailabilityZone": "us-east-1a", "HealthStatus": "Healthy", "ProtectedFromScaleIn": False}


class Alarms(TrialAlarms):
    """Of which two are there, and one rings that is not the trial's."""

    def __init__(self, clients: Clients) -> None:
        super().__init__(clients.cloudwatch, MemoryReleaseStore(), deployment_id="sdfleet", runtime="sd")
        self.calls: list[str] = []

    def check(self) -> None: ...

    def watch(self) -> TrialWatch:
        return TrialWatch.SOME

    def begin_trial(self, release: str) -> tuple[str, ...]:
        self.calls.append(f"begin {release}")
        return ("sd-trial-failures", "sd-trial-unready")

    def mend_trial(self, release: str) -> None:
        self.calls.append(f"mend {release}")

    def end_trial(self) -> None:
        self.calls.append("end")


def group_of(clients: Clients, name: str = "sd", alarms: TrialAlarms | None = None) -> AutoScalingRolloutGroup:
    watching = alarms or Alarms(clients)
    return AutoScalingRolloutGroup(clients.autoscaling, clients.ec2, FakeClock(NOON), group_name=name, alarms=watching)


@contextmanager
def stubbed(clients: Clients) -> Iterator[Stubber]:
    """Requests and answers are checked against the API's model."""
    with Stubber(clients.autoscaling) as stub:
        yield stub
        stub.assert_no_pending_responses()


def test_a_refresh_is_asked_for_in_the_groups_own_policy_with_all_that_a_rollback_needs(clients: Clients) -> None:
    alarms = Alarms(clients)
    with stubbed(clients) as stub:
        stub.add_response(
            "describe_auto_scaling_groups", {"AutoScalingGroups": [GROUP]}, {"AutoScalingGroupNames": ["sd"]}
        )
        stub.add_response(
            "start_instance_refresh",
            {"InstanceRefreshId": "refresh-1"},
            {
                "AutoScalingGroupName": "sd",
                "Strategy": "Rolling",
                "DesiredConfiguration": {
                    "MixedInstancesPolicy": {
                        **POLICY,
                        "LaunchTemplate": {
                            **POLICY["LaunchTemplate"],
                            "LaunchTemplateSpecification": {"LaunchTemplateId": "lt-1", "Version": "4"},
                        },
                    }
                },
                "Preferences": {
                    "MinHealthyPercentage": 100,
                    "MaxHealthyPercentage": 200,
                    "InstanceWarmup": 0,
                    "CheckpointPercentages": [20, 100],
                    "CheckpointDelay": 900,
                    "BakeTime": 900,
                    "SkipMatching": True,
                    "AutoRollback": True,
                    "ScaleInProtectedInstances": "Refresh",
                    "StandbyInstances": "Ignore",
                    "AlarmSpecification": {"Alarms": ["sd-trial-failures", "sd-trial-unready"]},
                },
            },
        )
        group_of(clients, alarms=alarms).carry_out(START)

    assert alarms.calls == ["begin 1.1.0"]


def test_no_refresh_is_asked_for_without_its_alarms(clients: Clients) -> None:
    class Refused(Alarms):
        def begin_trial(self, release: str) -> tuple[str, ...]:
            raise TrialUnwatched

    with stubbed(clients), pytest.raises(TrialUnwatched):
        group_of(clients, alarms=Refused(clients)).carry_out(START)


def test_alarms_are_mended_and_deleted_without_a_word_to_auto_scaling(clients: Clients) -> None:
    alarms = Alarms(clients)
    with stubbed(clients):
        group = group_of(clients, alarms=alarms)
        group.carry_out(WatchTrial("1.1.0"))
        group.carry_out(EndTrial())
    assert alarms.calls == ["mend 1.1.0", "end"]


def test_the_way_back_has_nothing_behind_it(clients: Clients) -> None:
    with stubbed(clients) as stub:
        stub.add_response("describe_auto_scaling_groups", {"AutoScalingGroups": [GROUP]})
        stub.add_response("start_instance_refresh", {"InstanceRefreshId": "refresh-1"}, ANY_START)
        group_of(clients).carry_out(replace(START, auto_rollback=False, release=None))


ANY_START = {
    "AutoScalingGroupName": "sd",
    "Strategy": "Rolling",
    "DesiredConfiguration": ANY,
    "Preferences": {
        "MinHealthyPercentage": 100,
        "MaxHealthyPercentage": 200,
        "InstanceWarmup": 0,
        "CheckpointPercentages": [20, 100],
        "CheckpointDelay": 900,
        "BakeTime": 900,
        "SkipMatching": True,
        "AutoRollback": False,
        "ScaleInProtectedInstances": "Refresh",
        "StandbyInstances": "Ignore",
    },
}


@pytest.mark.parametrize(
    ("action", "method", "code"),
    [
        (CancelRefresh(), "cancel_instance_refresh", "ActiveInstanceRefreshNotFound"),
        (RollBackRefresh(), "rollback_instance_refresh", "IrreversibleInstanceRefresh"),
    ],
)
def test_what_is_done_already_is_no_failure(
    clients: Clients, action: CancelRefresh | RollBackRefresh, method: str, code: str
) -> None:
    with stubbed(clients) as stub:
        stub.add_client_error(method, code)
        group_of(clients).carry_out(action)


def test_a_floor_is_the_groups_minimum(clients: Clients) -> None:
    with stubbed(clients) as stub:
        stub.add_response("update_auto_scaling_group", {}, {"AutoScalingGroupName": "sd", "MinSize": 2})
        group_of(clients).carry_out(SetMinimum(2))


def test_what_auto_scaling_refuses_is_told(clients: Clients) -> None:
    with stubbed(clients) as stub:
        stub.add_client_error("cancel_instance_refresh", "LimitExceeded")
        with pytest.raises(DeploymentError, match="LimitExceeded"):
            group_of(clients).carry_out(CancelRefresh())


def test_refreshes_are_read_with_the_template_version_that_they_bring(clients: Clients) -> None:
    desired = {
        **POLICY,
        "LaunchTemplate": {
            **POLICY["LaunchTemplate"],
            "LaunchTemplateSpecification": {"LaunchTemplateId": "lt-1", "Version": "4"},
        },
    }
    with stubbed(clients) as stub:
        stub.add_response(
            "describe_instance_refreshes",
            {
                "InstanceRefreshes": [
                    {"InstanceRefreshId": "refresh-2", "Status": "Pending"},
                    {
                        "InstanceRefreshId": "refresh-1",
                        "Status": "RollbackSuccessful",
                        "StatusReason": "alarm",
                        "StartTime": NOON,
                        "PercentageComplete": 20,
                        "DesiredConfiguration": {"MixedInstancesPolicy": desired},
                    },
                ]
            },
        )
        described = [
            {**INSTANCE, "InstanceId": f"i-{state}", "LifecycleState": state} for state in ("InService", "Pending")
        ]
        stub.add_response("describe_auto_scaling_groups", {"AutoScalingGroups": [{**GROUP, "Instances": described}]})
        observed = group_of(clients).observed()

    assert (observed.minimum, observed.in_service, observed.watch) == (0, 1, TrialWatch.SOME)
    pending, over = observed.refreshes
    assert observed.at == NOON
    assert (pending.status, pending.template_version, pending.started_at) == (RefreshStatus.PENDING, None, NOON)
    assert (over.status, over.template_version, over.percentage_complete, over.reason) == (
        RefreshStatus.ROLLBACK_SUCCESSFUL,
        "4",
        20,
        "alarm",
    )


def test_a_person_whom_cloudwatch_tells_nothing_sees_the_refreshes(clients: Clients) -> None:
    class Forbidden(Alarms):
        def watch(self) -> TrialWatch:
            raise DeploymentError

    with stubbed(clients) as stub:
        stub.add_response("describe_instance_refreshes", {"InstanceRefreshes": []})
        stub.add_response("describe_auto_scaling_groups", {"AutoScalingGroups": [GROUP]})
        observed = group_of(clients, alarms=Forbidden(clients)).observed()
    assert (observed.is_refreshed, observed.watch) == (True, TrialWatch.UNKNOWN)


@pytest.mark.parametrize(("times", "begun"), [({"EndTime": NOON - HOUR}, NOON - HOUR), ({}, LONG_AGO)])
def test_a_refresh_that_was_cancelled_before_it_began_is_not_the_newest(
    clients: Clients, times: dict[str, Any], begun: datetime
) -> None:
    cancelled = {"InstanceRefreshId": "refresh-1", "Status": "Cancelled", **times}
    with stubbed(clients) as stub:
        stub.add_response("describe_instance_refreshes", {"InstanceRefreshes": [cancelled]})
        stub.add_response("describe_auto_scaling_groups", {"AutoScalingGroups": [GROUP]})
        (refresh,) = group_of(clients).observed().refreshes

    assert refresh.started_at == begun


@pytest.fixture
def fleet(clients: Clients) -> Iterator[str]:
    """A group of one instance whose launch template has a version of CloudFormation's."""
    tags: Any = [{"Key": "Name", "Value": "fleet"}, {"Key": "sdfleet-release", "Value": "1.0.0"}]
    template = clients.ec2.create_launch_template(
        LaunchTemplateName="fleet",
        VersionDescription="base",
        LaunchTemplateData={
            "ImageId": "ami-12c6146b",
            "InstanceType": "t2.micro",
            "TagSpecifications": [{"ResourceType": "instance", "Tags": tags}],
        },
    )["LaunchTemplate"]["LaunchTemplateId"]
    clients.autoscaling.create_auto_scaling_group(
        AutoScalingGroupName="fleet",
        MinSize=0,
        MaxSize=3,
        DesiredCapacity=1,
        AvailabilityZones=["us-east-1a"],
        LaunchTemplate={"LaunchTemplateId": template, "Version": "1"},
    )
    yield template
    clients.autoscaling.delete_auto_scaling_group(AutoScalingGroupName="fleet", ForceDelete=True)
    clients.ec2.delete_launch_template(LaunchTemplateId=template)


def test_a_release_is_a_launch_template_version_with_its_own_tags(clients: Clients, fleet: str) -> None:
    version = group_of(clients, "fleet").add_template_version(RELEASE)
    made = clients.ec2.describe_launch_template_versions(LaunchTemplateId=fleet, Versions=[version])
    data = made["LaunchTemplateVersions"][0]["LaunchTemplateData"]
    (specification,) = data["TagSpecifications"]

    assert {tag["Key"]: tag["Value"] for tag in specification["Tags"]} == {
        "Name": "fleet",
        "sdfleet-release": "1.1.0",
        "sdfleet-scheduler-image": "registry/scheduler@sha256:ab",
        "sdfleet-runtime-image": "registry/sd@sha256:cd",
    }


def test_a_release_has_one_launch_template_version_however_often_it_is_asked_for(clients: Clients, fleet: str) -> None:
    group = group_of(clients, "fleet")

    assert group.add_template_version(RELEASE) == group.add_template_version(RELEASE) == "2"
    assert group.add_template_version(replace(RELEASE, version="1.2.0")) == "3"


def test_the_state_tells_capacity_template_and_what_the_instances_run(clients: Clients, fleet: str) -> None:
    state = group_of(clients, "fleet").state()

    assert (state.capacity, state.minimum, state.maximum, state.template_version) == (1, 0, 3, "1")
    assert state.releases == {"1.0.0": 1}


def test_a_group_that_is_not_there_says_what_to_do(clients: Clients) -> None:
    with pytest.raises(DeploymentRefused, match="deploy the service"):
        group_of(clients, "nobodys").state()
