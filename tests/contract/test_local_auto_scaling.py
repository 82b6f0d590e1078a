"""boto3 drives the local groups: the calls that a rollout makes, on real instances' stand-ins and moto's templates."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from builders import NOON
from refresh_bench import RefreshBench
from sdfleet.aws.clients import Clients
from sdfleet.aws.rollout_group import AutoScalingRolloutGroup
from sdfleet.aws.trial_alarms import TrialAlarms
from sdfleet.domain import names
from sdfleet.domain.instance_refresh import CancelRefresh, RefreshStatus, RollBackRefresh, StartRefresh
from sdfleet.domain.release import Release
from sdfleet.domain.trial import LIMITS_PARAMETER, TrialLimits
from sdfleet.memory.release_store import MemoryReleaseStore
from sdfleet_local.alarms import CloudWatchAlarms
from sdfleet_local.autoscaling_api import AutoScalingServer
from sdfleet_local.groups import Groups
from sdfleet_local.provisioning import launch_template
from sdfleet_local.refresh_run import AlarmState
from sdfleet_local.scaling_templates import Ec2Templates, first_configuration

RELEASE = Release("1.1.0", NOON, "ada", ".sdfleet/local/releases/1.1.0")
QUARTER = timedelta(minutes=15)


@dataclass
class Fleet:
    """A local group of five, boto3's client for it, and what a rollout sees of it."""

    bench: RefreshBench
    client: Any
    rollout_group: AutoScalingRolloutGroup
    name: str

    def roll_out(self) -> str:
        """The launch template version of the new release."""
        version = self.rollout_group.add_template_version(RELEASE)
        start = StartRefresh(version, (20, 100), QUARTER, QUARTER, auto_rollback=True, release=RELEASE.version)
        self.rollout_group.carry_out(start)
        self.bench.settle()
        return version

    def template(self, version: str) -> dict[str, str]:
        return {"LaunchTemplateName": self.name, "Version": version}

    def statuses(self) -> list[RefreshStatus]:
        return [one.status for one in self.rollout_group.observed().refreshes]


@dataclass
class Endpoint:
    groups: Groups
    client: Any


@pytest.fixture(scope="module")
def auto_scaling(clients: Clients) -> Iterator[Endpoint]:
    groups = Groups()
    server = AutoScalingServer(groups)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ACCESS_KEY_ID", "test")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "test")
        client = Clients(region="us-east-1", endpoint_url=server.url).autoscaling
    yield Endpoint(groups, client)
    client.close()
    server.close()


@pytest.fixture
def fleet(clients: Clients, auto_scaling: Endpoint) -> Fleet:
    runtime = uuid.uuid4().hex[:8]
    name = names.fleet_name("local", runtime)
    templates = Ec2Templates(clients.ec2)
    configuration = first_configuration(launch_template(clients, runtime), templates)
    bench = RefreshBench(5, name=name, templates=templates, configuration=configuration)
    auto_scaling.groups.add(bench.group)
    client = auto_scaling.client
    alarms = names.rollout_alarms("local", runtime)
    CloudWatchAlarms(clients.cloudwatch).create(names.alarm_name(name, "no-instance"), name)
    bench.alarms.update(dict.fromkeys(alarms, AlarmState.OK))
    releases = MemoryReleaseStore()
    releases.write(runtime, LIMITS_PARAMETER, TrialLimits("arn:aws:sns:us-east-1:1:alarms", 10, 1).to_json())
    trial = TrialAlarms(clients.cloudwatch, releases, deployment_id="local", runtime=runtime)
    rollout_group = AutoScalingRolloutGroup(client, clients.ec2, bench.clock, group_name=name, alarms=trial)
    return Fleet(bench, client, rollout_group, name)


def test_the_group_shows_its_true_instances_and_what_it_launches(fleet: Fleet) -> None:
    (group,) = fleet.client.describe_auto_scaling_groups(AutoScalingGroupNames=[fleet.name])["AutoScalingGroups"]
    specification = group["MixedInstancesPolicy"]["LaunchTemplate"]["LaunchTemplateSpecification"]
    assert (group["MinSize"], group["DesiredCapacity"]) == (0, 5)
    assert (specification["LaunchTemplateName"], specification["Version"]) == (fleet.name, "1")
    assert group["CreatedTime"].tzinfo is not None
    assert [one["InstanceId"] for one in group["Instances"]] == [
        one.instance_id for one in fleet.bench.group.instances()
    ]
    assert {one["LifecycleState"] for one in group["Instances"]} == {"InService"}
    assert {one["LaunchTemplate"]["Version"] for one in group["Instances"]} == {"1"}


def test_a_rollouts_state_is_read(fleet: Fleet) -> None:
    state = fleet.rollout_group.state()
    assert (state.capacity, state.minimum, state.template_version) == (5, 0, "1")
    assert state.releases == {"1.0.0": 5}


def test_a_release_is_rolled_out_to_a_fifth_and_then_to_all(fleet: Fleet) -> None:
    version = fleet.roll_out()
    assert version == "2"
    assert fleet.rollout_group.state().releases == {"1.0.0": 4, "1.1.0": 1}
    (refresh,) = fleet.rollout_group.observed().refreshes
    assert (refresh.status, refresh.template_version, refresh.percentage_complete) == (
        RefreshStatus.IN_PROGRESS,
        "2",
        20,
    )
    fleet.bench.pass_by(QUARTER)
    assert fleet.statuses() == [RefreshStatus.BAKING]
    assert fleet.rollout_group.state().template_version == "1"
    fleet.bench.pass_by(QUARTER)
    assert fleet.statuses() == [RefreshStatus.SUCCESSFUL]
    state = fleet.rollout_group.state()
    assert (state.template_version, state.releases) == ("2", {"1.1.0": 5})


def test_instances_know_their_release_from_their_tags(fleet: Fleet) -> None:
    fleet.roll_out()
    assert sorted(one.metadata.release for one in fleet.bench.launcher.launched if one.is_running) == [
        *["1.0.0"] * 4,
        "1.1.0",
    ]


def test_a_rollout_is_rolled_back(fleet: Fleet) -> None:
    fleet.roll_out()
    fleet.rollout_group.carry_out(RollBackRefresh())
    assert fleet.statuses() == [RefreshStatus.ROLLBACK_IN_PROGRESS]
    fleet.bench.settle()
    (refresh,) = fleet.client.describe_instance_refreshes(AutoScalingGroupName=fleet.name)["InstanceRefreshes"]
    assert refresh["Status"] == "RollbackSuccessful"
    assert refresh["RollbackDetails"]["PercentageCompleteOnRollback"] == 20
    assert refresh["RollbackDetails"]["InstancesToUpdateOnRollback"] == 4
    assert refresh["Preferences"]["CheckpointPercentages"] == [20, 100]
    assert refresh["EndTime"] > refresh["StartTime"]
    assert fleet.rollout_group.state().releases == {"1.0.0": 5}


def test_a_canary_is_promoted_by_cancelling_and_starting_anew(fleet: Fleet) -> None:
    version = fleet.roll_out()
    fleet.rollout_group.carry_out(CancelRefresh())
    fleet.bench.settle()
    rest = StartRefresh(version, (100,), QUARTER, timedelta(0), auto_rollback=True, release=RELEASE.version)
    fleet.rollout_group.carry_out(rest)
    fleet.bench.settle()
    assert fleet.statuses() == [RefreshStatus.SUCCESSFUL, RefreshStatus.CANCELLED]
    assert fleet.rollout_group.state().releases == {"1.1.0": 5}


def test_what_is_done_already_is_no_failure(fleet: Fleet) -> None:
    fleet.rollout_group.carry_out(CancelRefresh())
    fleet.rollout_group.carry_out(RollBackRefresh())
    assert fleet.statuses() == []


def test_refreshes_come_in_pages(fleet: Fleet) -> None:
    for _ in range(3):
        fleet.client.start_instance_refresh(AutoScalingGroupName=fleet.name)
        fleet.bench.settle(30)
    first = fleet.client.describe_instance_refreshes(AutoScalingGroupName=fleet.name, MaxRecords=2)
    rest = fleet.client.describe_instance_refreshes(
        AutoScalingGroupName=fleet.name, MaxRecords=2, NextToken=first["NextToken"]
    )
    assert [len(page["InstanceRefreshes"]) for page in (first, rest)] == [2, 1]
    assert "NextToken" not in rest


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"Preferences": {"AutoRollback": True}}, "AutoRollback parameter cannot be set to true when"),
        ({"Preferences": {"CheckpointPercentages": [50, 20]}}, "ascending order"),
        ({"Preferences": {"CheckpointPercentages": [20, 20, 100]}}, "unique"),
        ({"Preferences": {"CheckpointPercentages": [0, 100]}}, "from 1 to 100"),
        ({"Preferences": {"CheckpointDelay": 60}}, "must also specify CheckpointPercentages"),
        (
            {"Preferences": {"CheckpointPercentages": [20, 100], "CheckpointDelay": 172_801}},
            "less than or equal to 172800",
        ),
        ({"Preferences": {"BakeTime": 172_801}}, "less than or equal to 172800"),
        ({"Preferences": {"BakeTime": -1}}, "greater than or equal to 0"),
        ({"Preferences": {"MaxHealthyPercentage": 110}}, "must also specify MinHealthyPercentage"),
        ({"Preferences": {"MinHealthyPercentage": 90, "MaxHealthyPercentage": 99}}, "greater than or equal to 100"),
        ({"Preferences": {"MinHealthyPercentage": 50, "MaxHealthyPercentage": 151}}, "cannot be greater than 100"),
        ({"Preferences": {"MinHealthyPercentage": 101}}, "less than or equal to 100"),
        ({"Preferences": {"ScaleInProtectedInstances": "Replace"}}, "enum value set"),
        ({"Preferences": {"StandbyInstances": "Refresh"}}, "enum value set"),
        ({"Preferences": {"AlarmSpecification": {"Alarms": [f"a{n}" for n in range(11)]}}}, "up to 10 alarms"),
        ({"Preferences": {"AlarmSpecification": {"Alarms": ["nowhere"]}}}, "no CloudWatch alarm nowhere"),
        (
            {"DesiredConfiguration": {"LaunchTemplate": {"LaunchTemplateName": "nothing", "Version": "1"}}},
            "launch template",
        ),
        ({"DesiredConfiguration": {"LaunchTemplate": {"Version": "1"}}}, "launchTemplateId"),
    ],
)
def test_a_start_that_breaks_a_rule_is_refused(fleet: Fleet, request_: dict[str, Any], words: str) -> None:
    with pytest.raises(ClientError, match=words) as refused:
        fleet.client.start_instance_refresh(AutoScalingGroupName=fleet.name, **request_)
    assert refused.value.response["Error"]["Code"] == "ValidationError"
    assert fleet.statuses() == []


def test_the_apis_errors_have_their_own_codes(fleet: Fleet) -> None:
    faults = fleet.client.exceptions
    with pytest.raises(faults.ActiveInstanceRefreshNotFoundFault):
        fleet.client.cancel_instance_refresh(AutoScalingGroupName=fleet.name)
    fleet.client.start_instance_refresh(AutoScalingGroupName=fleet.name)
    with pytest.raises(faults.InstanceRefreshInProgressFault):
        fleet.client.start_instance_refresh(AutoScalingGroupName=fleet.name)
    with pytest.raises(faults.IrreversibleInstanceRefreshFault):
        fleet.client.rollback_instance_refresh(AutoScalingGroupName=fleet.name)


def test_the_defaults_are_those_of_the_api(fleet: Fleet) -> None:
    """User Guide, "Understand the default values for an instance refresh"."""
    fleet.client.start_instance_refresh(
        AutoScalingGroupName=fleet.name, Preferences={"CheckpointPercentages": [50, 100]}
    )
    (refresh,) = fleet.client.describe_instance_refreshes(AutoScalingGroupName=fleet.name)["InstanceRefreshes"]
    assert refresh["Preferences"] == {
        "MinHealthyPercentage": 90,
        "InstanceWarmup": 0,
        "CheckpointPercentages": [50, 100],
        "CheckpointDelay": 3600,
        "BakeTime": 0,
        "SkipMatching": False,
        "AutoRollback": False,
        "ScaleInProtectedInstances": "Wait",
        "StandbyInstances": "Wait",
    }
    assert (refresh["Status"], refresh["Strategy"]) == ("Pending", "Rolling")


def test_the_desired_capacity_acts_within_the_groups_sizes(fleet: Fleet) -> None:
    fleet.client.set_desired_capacity(AutoScalingGroupName=fleet.name, DesiredCapacity=2)
    fleet.bench.settle()
    assert fleet.rollout_group.state().releases == {"1.0.0": 2}
    with pytest.raises(ClientError, match="above max value 50"):
        fleet.client.set_desired_capacity(AutoScalingGroupName=fleet.name, DesiredCapacity=51)


def test_a_minimum_lifts_the_desired_capacity(fleet: Fleet) -> None:
    """API reference, UpdateAutoScalingGroup: "this sets the group's DesiredCapacity to the new MinSize value"."""
    fleet.client.update_auto_scaling_group(AutoScalingGroupName=fleet.name, MinSize=7)
    state = fleet.rollout_group.state()
    assert (state.capacity, state.minimum) == (7, 7)
    with pytest.raises(ClientError, match="below min value 7"):
        fleet.client.set_desired_capacity(AutoScalingGroupName=fleet.name, DesiredCapacity=6)
    instance_id = fleet.bench.group.instances()[0].instance_id
    with pytest.raises(ClientError, match="desiredSize equals minSize"):
        fleet.client.terminate_instance_in_auto_scaling_group(
            InstanceId=instance_id, ShouldDecrementDesiredCapacity=True
        )


def test_another_template_version_is_for_new_instances(fleet: Fleet) -> None:
    """API reference, UpdateAutoScalingGroup: "Existing instances continue to run with the configuration that they were
    originally launched with."
    """
    fleet.rollout_group.add_template_version(RELEASE)
    fleet.client.update_auto_scaling_group(
        AutoScalingGroupName=fleet.name, LaunchTemplate=fleet.template("$Latest"), DesiredCapacity=6
    )
    fleet.bench.settle()
    assert fleet.rollout_group.state().releases == {"1.0.0": 5, "1.1.0": 1}


def test_the_template_stays_as_it_is_during_a_refresh(fleet: Fleet) -> None:
    fleet.roll_out()
    with pytest.raises(ClientError, match="An active instance refresh with a desired configuration exists"):
        fleet.client.update_auto_scaling_group(AutoScalingGroupName=fleet.name, LaunchTemplate=fleet.template("1"))


def test_protection_is_set_and_shown(fleet: Fleet) -> None:
    held = fleet.bench.group.instances()[-1].instance_id
    fleet.client.set_instance_protection(AutoScalingGroupName=fleet.name, InstanceIds=[held], ProtectedFromScaleIn=True)
    shown = fleet.client.describe_auto_scaling_instances(InstanceIds=[held])["AutoScalingInstances"]
    assert [one["ProtectedFromScaleIn"] for one in shown] == [True]
    with pytest.raises(ClientError, match="not part of Auto Scaling group"):
        fleet.client.set_instance_protection(
            AutoScalingGroupName=fleet.name, InstanceIds=["i-0"], ProtectedFromScaleIn=True
        )


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("create_auto_scaling_group", {"AutoScalingGroupName": "other", "MinSize": 0, "MaxSize": 1}),
        ("put_scaling_policy", {"PolicyName": "busy", "PolicyType": "TargetTrackingScaling"}),
        ("put_scaling_policy", {"PolicyName": "seer", "PolicyType": "PredictiveScaling"}),
        ("put_warm_pool", {}),
        ("update_auto_scaling_group", {"MaxInstanceLifetime": 86_400}),
        ("start_instance_refresh", {"Strategy": "ReplaceRootVolume"}),
    ],
)
def test_what_is_not_emulated_says_so(fleet: Fleet, call: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ClientError, match="Local mode") as refused:
        getattr(fleet.client, call)(**{"AutoScalingGroupName": fleet.name, **arguments})
    assert refused.value.response["Error"]["Code"] == "NotImplemented"


def test_a_group_that_is_not_there_is_named(fleet: Fleet) -> None:
    with pytest.raises(ClientError, match="AutoScalingGroup nobodys not found"):
        fleet.client.describe_instance_refreshes(AutoScalingGroupName="nobodys")
    assert fleet.client.describe_auto_scaling_groups(AutoScalingGroupNames=["nobodys"])["AutoScalingGroups"] == []


ALARM = "local-sd-failures"


@pytest.fixture
def cloudwatch(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    client = Clients(region="us-east-1", endpoint_url=endpoint).cloudwatch
    CloudWatchAlarms(client).create(ALARM, "local-sd")
    yield client
    client.close()


def test_an_alarm_of_the_endpoint_is_ok_at_first(cloudwatch: Any) -> None:
    assert CloudWatchAlarms(cloudwatch).read([ALARM, "nowhere"]) == {ALARM: AlarmState.OK}


def test_an_alarm_that_rings_is_shown_and_one_set_by_hand_stays(cloudwatch: Any) -> None:
    alarms = CloudWatchAlarms(cloudwatch)
    alarms.show({ALARM: AlarmState.ALARM})
    assert alarms.read([ALARM]) == {ALARM: AlarmState.ALARM}
    alarms.show({ALARM: AlarmState.OK})
    cloudwatch.set_alarm_state(AlarmName=ALARM, StateValue="ALARM", StateReason="a rehearsal")
    alarms.show({ALARM: AlarmState.OK})
    assert alarms.read([ALARM]) == {ALARM: AlarmState.ALARM}


def test_an_alarm_that_another_rollout_puts_anew_begins_anew(cloudwatch: Any) -> None:
    releases = MemoryReleaseStore()
    releases.write("sd", LIMITS_PARAMETER, TrialLimits("arn:aws:sns:us-east-1:1:alarms", 10, 1).to_json())
    trial = TrialAlarms(cloudwatch, releases, deployment_id="local", runtime="sd")
    local, (failures, *rest) = CloudWatchAlarms(cloudwatch), names.trial_alarms("local", "sd")
    seen = []
    for _ in range(2):
        assert local.put_by_a_rollout([failures, *rest]) == []
        trial.begin_trial("1.1.0")
        (put, *_) = local.put_by_a_rollout([failures, *rest])
        seen.append((put.name, put.threshold, put.state))
        local.show({failures: AlarmState.ALARM})
        assert trial.ringing() == (failures,)
        trial.end_trial()
    assert seen == [(failures, 10, AlarmState.OK)] * 2


def test_alarms_of_an_endpoint_that_does_not_answer_lack_data(cloudwatch: Any) -> None:
    client = Clients(region="us-east-1", endpoint_url="http://127.0.0.1:1").cloudwatch
    assert CloudWatchAlarms(client).read([ALARM]) == {ALARM: AlarmState.INSUFFICIENT_DATA}
    client.close()
