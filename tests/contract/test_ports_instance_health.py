"""InstanceHealth, in memory and on the Auto Scaling calls of the embedded endpoint's local group."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_group_bench import Bench
from sdfleet.aws.clients import Clients
from sdfleet.aws.instance_health import AutoScalingInstanceHealth
from sdfleet.errors import ServiceUnavailable
from sdfleet.memory.instance_health import MemoryInstanceHealth
from sdfleet.ports import InstanceHealth
from sdfleet_local.autoscaling_api import AutoScalingServer
from sdfleet_local.groups import Groups


@dataclass
class Endpoint:
    """A group of two in service behind a server, and boto3's client for it."""

    bench: Bench
    client: Any


@pytest.fixture
def group_of_two(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    bench = Bench(2)
    groups = Groups()
    groups.add(bench.group)
    bench.in_service()
    server = AutoScalingServer(groups)
    client = Clients(region="us-east-1", endpoint_url=server.url).autoscaling
    yield Endpoint(bench, client)
    client.close()
    server.close()


@dataclass
class Watched:
    """A group with the instances `broken` and `sound`."""

    health: InstanceHealth
    broken: str
    sound: str
    replaces: Callable[[str], bool]


@pytest.fixture(params=["memory", "aws"])
def watched(request: pytest.FixtureRequest) -> Watched:
    if request.param == "memory":
        memory = MemoryInstanceHealth("i-broken", "i-sound")
        return Watched(memory, "i-broken", "i-sound", memory.replaces)
    endpoint: Endpoint = request.getfixturevalue("group_of_two")
    broken, sound = (instance.instance_id for instance in endpoint.bench.launcher.launched)

    def replaces(instance_id: str) -> bool:
        endpoint.bench.tick()
        states = {one.instance_id: one.state for one in endpoint.bench.group.describe()}
        return states[instance_id] == "Terminating:Wait"

    return Watched(AutoScalingInstanceHealth(endpoint.client), broken, sound, replaces)


def test_an_unhealthy_instance_and_no_other_is_replaced(watched: Watched) -> None:
    watched.health.report_unhealthy(watched.broken)
    assert watched.replaces(watched.broken)
    assert not watched.replaces(watched.sound)


def test_saying_it_twice_changes_nothing(watched: Watched) -> None:
    watched.health.report_unhealthy(watched.broken)
    watched.health.report_unhealthy(watched.broken)
    assert watched.replaces(watched.broken)


def test_an_instance_of_no_group_has_no_health(watched: Watched) -> None:
    with pytest.raises(ServiceUnavailable):
        watched.health.report_unhealthy("i-0")


def test_the_groups_capacity_stays_and_its_hook_is_waited_for(group_of_two: Endpoint) -> None:
    bench = group_of_two.bench
    AutoScalingInstanceHealth(group_of_two.client).report_unhealthy(bench.launcher.launched[0].instance_id)
    bench.tick()
    assert bench.states() == ["Terminating:Wait", "InService", "Pending"]


def test_a_healthy_instance_stays(group_of_two: Endpoint) -> None:
    instance_id = group_of_two.bench.launcher.launched[0].instance_id
    group_of_two.client.set_instance_health(InstanceId=instance_id, HealthStatus="Healthy")
    group_of_two.bench.tick()
    assert group_of_two.bench.states() == ["InService", "InService"]


def test_a_health_is_one_of_two(group_of_two: Endpoint) -> None:
    instance_id = group_of_two.bench.launcher.launched[0].instance_id
    with pytest.raises(ClientError, match="Healthy, Unhealthy"):
        group_of_two.client.set_instance_health(InstanceId=instance_id, HealthStatus="Poorly")


def test_a_group_that_cannot_be_reached_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    client = Clients(region="us-east-1", endpoint_url="http://127.0.0.1:1").autoscaling
    with pytest.raises(ServiceUnavailable):
        AutoScalingInstanceHealth(client).report_unhealthy("i-1")
    client.close()
