"""The fast scaler's hand on a group: in memory, and on moto's Auto Scaling."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from sdfleet.aws.clients import Clients
from sdfleet.aws.scaled_group import AutoScalingScaledGroup
from sdfleet.aws.scaler_schedule import EventBridgeSchedule
from sdfleet.domain.scaling import Limits
from sdfleet.errors import ServiceUnavailable
from sdfleet.fleet_ports import ScaledGroup, ScalerSchedule
from sdfleet.memory.scaled_group import MemoryScaledGroup, MemorySchedule


@pytest.fixture
def group_name(clients: Clients) -> str:
    name = f"fleet-{uuid.uuid4().hex}"
    made = clients.ec2.create_launch_template(
        LaunchTemplateName=name, LaunchTemplateData={"ImageId": "ami-12345678", "InstanceType": "g5.xlarge"}
    )
    clients.autoscaling.create_auto_scaling_group(
        AutoScalingGroupName=name,
        MinSize=0,
        MaxSize=4,
        DesiredCapacity=1,
        AvailabilityZones=["us-east-1a"],
        MixedInstancesPolicy={
            "LaunchTemplate": {
                "LaunchTemplateSpecification": {
                    "LaunchTemplateId": made["LaunchTemplate"]["LaunchTemplateId"],
                    "Version": "1",
                },
                "Overrides": [{"InstanceType": "g5.xlarge"}, {"InstanceType": "g4dn.xlarge"}],
            },
            "InstancesDistribution": {
                "OnDemandBaseCapacity": 0,
                "OnDemandPercentageAboveBaseCapacity": 0,
                "SpotAllocationStrategy": "price-capacity-optimized",
            },
        },
    )
    return name


@pytest.fixture(params=["memory", "aws"])
def group(request: pytest.FixtureRequest) -> ScaledGroup:
    if request.param == "memory":
        group = MemoryScaledGroup(limits=Limits(0, 4), desired=1)
        group.launch("i-1", in_service=True)
        return group
    name = request.getfixturevalue("group_name")
    return AutoScalingScaledGroup(request.getfixturevalue("clients").autoscaling, name)


def test_a_look_shows_sizes_and_instances(group: ScaledGroup) -> None:
    state = group.look()
    assert (state.desired, state.limits, state.template_version) == (1, Limits(0, 4), "1")
    (instance,) = state.instances
    assert instance.is_in_service
    assert not state.is_suspended


def test_the_capacity_is_raised(group: ScaledGroup) -> None:
    group.raise_to(3)
    assert group.look().desired == 3


def test_an_instance_goes_with_its_place(group: ScaledGroup) -> None:
    (instance,) = group.look().instances
    group.remove(instance.instance_id)
    state = group.look()
    assert (state.desired, state.instances) == (0, ())


def test_the_on_demand_base_is_set(group: ScaledGroup) -> None:
    group.set_on_demand_base(2)
    assert group.look().on_demand_base == 2
    group.set_on_demand_base(0)
    assert group.look().on_demand_base == 0


def test_alarms_are_suspended_and_resumed(group: ScaledGroup) -> None:
    group.suspend_alarms()
    assert group.look().is_suspended
    group.resume_alarms()
    assert not group.look().is_suspended


def test_another_base_leaves_the_rest_of_the_purchase_options_as_it_is(clients: Clients, group_name: str) -> None:
    AutoScalingScaledGroup(clients.autoscaling, group_name).set_on_demand_base(2)
    (described,) = clients.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[group_name])[
        "AutoScalingGroups"
    ]
    policy: Any = described["MixedInstancesPolicy"]
    assert policy["InstancesDistribution"]["OnDemandPercentageAboveBaseCapacity"] == 0
    assert policy["InstancesDistribution"]["SpotAllocationStrategy"] == "price-capacity-optimized"


def test_a_group_that_is_not_there_is_trouble_that_may_pass(clients: Clients) -> None:
    with pytest.raises(ServiceUnavailable, match="no Auto Scaling group"):
        AutoScalingScaledGroup(clients.autoscaling, "nowhere").look()


@pytest.fixture(params=["memory", "aws"])
def schedule(request: pytest.FixtureRequest) -> ScalerSchedule:
    if request.param == "memory":
        return MemorySchedule()
    clients: Clients = request.getfixturevalue("clients")
    name = f"scaler-{uuid.uuid4().hex}"
    clients.events.put_rule(Name=name, ScheduleExpression="rate(1 minute)", State="DISABLED")
    return EventBridgeSchedule(clients.events, name)


def test_a_schedule_is_switched_on_and_off_however_often(schedule: ScalerSchedule) -> None:
    shown = []
    for switch in (schedule.switch_on, schedule.switch_on, schedule.switch_off, schedule.switch_off):
        switch()
        shown.append(schedule.is_on)
    assert shown == [True, True, False, False]
