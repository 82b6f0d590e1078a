"""LifecycleHooks, in memory and on the Auto Scaling calls of the embedded endpoint's local group (moto has none)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_group_bench import GROUP, HOOK, Bench
from sdfleet.aws.clients import Clients
from sdfleet.aws.lifecycle_hooks import AutoScalingLifecycleHooks
from sdfleet.errors import LifecycleActionNotFound, ServiceUnavailable
from sdfleet.memory.clock import FakeClock
from sdfleet.memory.lifecycle_hooks import MemoryLifecycleHooks
from sdfleet.ports import LifecycleHooks
from sdfleet_local.autoscaling_api import AutoScalingServer
from sdfleet_local.groups import Groups
from sdfleet_local.scaling_hooks import HookResult

TIMEOUT = timedelta(seconds=120)
SECOND = timedelta(seconds=1)


@dataclass
class Hooked:
    """A group that waits for `leaving` and has `staying`."""

    hooks: LifecycleHooks
    clock: FakeClock
    leaving: str
    staying: str
    waits_for: Callable[[str], bool]


@dataclass
class Endpoint:
    """A group's Auto Scaling calls behind a server, and boto3's client for it."""

    bench: Bench
    client: Any


@pytest.fixture
def endpoint_of_groups(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    bench = Bench(2)
    groups = Groups()
    groups.add(bench.group)
    server = AutoScalingServer(groups)
    client = Clients(region="us-east-1", endpoint_url=server.url).autoscaling
    yield Endpoint(bench, client)
    client.close()
    server.close()


@pytest.fixture(params=["memory", "aws"])
def hooked(request: pytest.FixtureRequest) -> Hooked:
    if request.param == "memory":
        clock = FakeClock()
        memory = MemoryLifecycleHooks(clock, timeout=TIMEOUT)
        memory.begin("i-leaving")
        return Hooked(memory, clock, "i-leaving", "i-staying", memory.waits_for)
    endpoint: Endpoint = request.getfixturevalue("endpoint_of_groups")
    bench = endpoint.bench
    leaving, staying = bench.in_service()
    bench.group.terminate(leaving.instance_id)
    hooks = AutoScalingLifecycleHooks(endpoint.client, group_name=GROUP, hook_name=HOOK)

    def waits_for(instance_id: str) -> bool:
        return bench.group.lifecycle_action(HOOK, instance_id=instance_id) is not None

    return Hooked(hooks, bench.clock, leaving.instance_id, staying.instance_id, waits_for)


def test_the_group_waits_until_the_action_is_completed(hooked: Hooked) -> None:
    assert hooked.waits_for(hooked.leaving)
    hooked.hooks.complete(hooked.leaving)
    assert not hooked.waits_for(hooked.leaving)


def test_an_action_is_completed_once(hooked: Hooked) -> None:
    hooked.hooks.complete(hooked.leaving)
    with pytest.raises(LifecycleActionNotFound):
        hooked.hooks.complete(hooked.leaving)


def test_nobody_waits_for_an_instance_that_stays(hooked: Hooked) -> None:
    with pytest.raises(LifecycleActionNotFound):
        hooked.hooks.complete(hooked.staying)
    with pytest.raises(LifecycleActionNotFound):
        hooked.hooks.heartbeat(hooked.staying)


def test_without_heartbeats_the_wait_ends_with_the_timeout(hooked: Hooked) -> None:
    hooked.clock.advance(TIMEOUT)
    assert not hooked.waits_for(hooked.leaving)
    with pytest.raises(LifecycleActionNotFound):
        hooked.hooks.heartbeat(hooked.leaving)


def test_a_heartbeat_counts_from_when_it_comes(hooked: Hooked) -> None:
    hooked.clock.advance(TIMEOUT - SECOND)
    hooked.hooks.heartbeat(hooked.leaving)
    hooked.clock.advance(TIMEOUT - SECOND)
    assert hooked.waits_for(hooked.leaving)
    hooked.clock.advance(SECOND)
    assert not hooked.waits_for(hooked.leaving)


def test_heartbeats_hold_for_a_hundred_timeouts_and_no_longer(hooked: Hooked) -> None:
    for _ in range(100):
        hooked.clock.advance(TIMEOUT - SECOND)
        hooked.hooks.heartbeat(hooked.leaving)
    hooked.clock.advance(100 * SECOND)
    assert not hooked.waits_for(hooked.leaving)


def refused(call: Callable[..., object], **parameters: object) -> str:
    """The message of the ValidationError."""
    with pytest.raises(ClientError) as refusal:
        call(**parameters)
    error: dict[str, str] = dict(refusal.value.response["Error"])  # type: ignore[arg-type]
    assert error["Code"] == "ValidationError"
    return error["Message"]


def test_what_is_not_there_is_a_validation_error(endpoint_of_groups: Endpoint) -> None:
    client = endpoint_of_groups.client
    instance = endpoint_of_groups.bench.in_service()[0].instance_id
    beat = client.record_lifecycle_action_heartbeat
    assert f"instance ID {instance}" in refused(
        beat, AutoScalingGroupName=GROUP, LifecycleHookName=HOOK, InstanceId=instance
    )
    assert "token 123456789012345678901234567890123456" in refused(
        beat,
        AutoScalingGroupName=GROUP,
        LifecycleHookName=HOOK,
        LifecycleActionToken="123456789012345678901234567890123456",
    )
    assert "no lifecycle hook other" in refused(
        beat, AutoScalingGroupName=GROUP, LifecycleHookName="other", InstanceId=instance
    )
    assert "AutoScalingGroup nobody not found" in refused(
        beat, AutoScalingGroupName="nobody", LifecycleHookName=HOOK, InstanceId=instance
    )
    assert "InstanceId" in refused(beat, AutoScalingGroupName=GROUP, LifecycleHookName=HOOK)
    assert "instance ID: i-0" in refused(
        client.terminate_instance_in_auto_scaling_group, InstanceId="i-0", ShouldDecrementDesiredCapacity=False
    )


def test_a_result_is_continue_or_abandon(endpoint_of_groups: Endpoint) -> None:
    bench = endpoint_of_groups.bench
    instance = bench.in_service()[0].instance_id
    bench.group.terminate(instance)
    message = refused(
        endpoint_of_groups.client.complete_lifecycle_action,
        AutoScalingGroupName=GROUP,
        LifecycleHookName=HOOK,
        InstanceId=instance,
        LifecycleActionResult="MAYBE",
    )
    assert "CONTINUE, ABANDON" in message
    assert bench.group.lifecycle_action(HOOK, instance_id=instance) is not None


def test_a_token_stands_for_its_instance(endpoint_of_groups: Endpoint) -> None:
    bench = endpoint_of_groups.bench
    instance = bench.in_service()[0].instance_id
    bench.group.terminate(instance)
    action = bench.group.lifecycle_action(HOOK, instance_id=instance)
    assert action is not None
    endpoint_of_groups.client.complete_lifecycle_action(
        AutoScalingGroupName=GROUP,
        LifecycleHookName=HOOK,
        LifecycleActionToken=action.token,
        LifecycleActionResult="ABANDON",
    )
    assert action.result is HookResult.ABANDON


def test_an_instance_is_terminated_with_and_without_a_replacement(endpoint_of_groups: Endpoint) -> None:
    bench = endpoint_of_groups.bench
    first, second = (instance.instance_id for instance in bench.in_service())
    terminate = endpoint_of_groups.client.terminate_instance_in_auto_scaling_group
    activity = terminate(InstanceId=first, ShouldDecrementDesiredCapacity=False)["Activity"]
    assert activity["AutoScalingGroupName"] == GROUP
    assert first in activity["Description"]
    terminate(InstanceId=second, ShouldDecrementDesiredCapacity=True)
    bench.tick()
    assert bench.states() == ["Terminating:Wait", "Terminating:Wait", "Pending"]


def test_a_group_that_does_not_answer_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    client = Clients(region="us-east-1", endpoint_url="http://127.0.0.1:1").autoscaling
    with pytest.raises(ServiceUnavailable):
        AutoScalingLifecycleHooks(client, group_name=GROUP, hook_name=HOOK).heartbeat("i-1")
    client.close()
