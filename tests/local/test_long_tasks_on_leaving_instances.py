"""The scheduler's heartbeats on one side, the group's termination hook on the other, an hour between them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from fake_imds import FakeImds
from local_group_bench import GROUP, HOOK, Bench, FakeInstance
from sdfleet.aws.clients import Clients
from sdfleet.aws.lifecycle_hooks import AutoScalingLifecycleHooks
from sdfleet.domain.interruption import longest_wait
from sdfleet_local.autoscaling_api import AutoScalingServer
from sdfleet_local.groups import Groups
from sdfleet_local.member import SPOT_NOTICE
from sdfleet_scheduler.drain import Drain
from sdfleet_scheduler.interruption_watch import InterruptionWatch
from sdfleet_scheduler.lifecycle import Lifecycle, TerminationHook

DRAIN_TIMEOUT = timedelta(seconds=75)
TICK = timedelta(seconds=5)


class LeavingInstance:
    """A group's instance whose end has been decided, and the scheduler's side of it."""

    def __init__(self, bench: Bench, instance: FakeInstance, hooks: AutoScalingLifecycleHooks) -> None:
        self.bench = bench
        self.instance = instance
        self.imds = FakeImds(autoscaling__target_lifecycle_state=instance.metadata.target_state)
        self.drain = Drain()
        watch = InterruptionWatch(
            self.imds.client(),
            self.drain,
            bench.clock,
            drain_timeout=DRAIN_TIMEOUT,
            longest_wait=longest_wait(SPOT_NOTICE),
        )
        hook = TerminationHook(hooks, SPOT_NOTICE, DRAIN_TIMEOUT)
        self.watch = watch
        self.lifecycle = Lifecycle(hook, watch, self.drain, bench.clock, instance_id=instance.instance_id)

    async def work(self, duration: timedelta) -> None:
        """Go on working while both sides look after the hook."""
        end = self.bench.clock.now() + duration
        while self.bench.clock.now() < end:
            await self.watch.poll()
            await self.lifecycle.hold()
            self.bench.tick(TICK)


@pytest.fixture
async def leaving(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LeavingInstance]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    bench = Bench(1)
    groups = Groups()
    groups.add(bench.group)
    server = AutoScalingServer(groups)
    client = Clients(region="us-east-1", endpoint_url=server.url).autoscaling
    instance = bench.in_service()[0]
    bench.group.terminate(instance.instance_id)
    yield LeavingInstance(bench, instance, AutoScalingLifecycleHooks(client, group_name=GROUP, hook_name=HOOK))
    client.close()
    server.close()


async def test_a_task_of_an_hour_keeps_its_instance_until_it_is_done(leaving: LeavingInstance) -> None:
    began = leaving.bench.clock.now()
    await leaving.work(timedelta(hours=1))
    assert leaving.instance.signals == []
    assert leaving.drain.notice is not None
    assert leaving.drain.notice.deadline >= began + timedelta(hours=3)
    await leaving.lifecycle.complete()
    leaving.bench.tick()
    assert leaving.instance.signals == ["TERM"]


async def test_a_group_that_waits_no_longer_gives_the_task_what_a_shutdown_has(leaving: LeavingInstance) -> None:
    await leaving.work(timedelta(minutes=10))
    action = leaving.bench.group.lifecycle_action(HOOK, instance_id=leaving.instance.instance_id)
    assert action is not None
    leaving.bench.group.complete(action)
    await leaving.work(timedelta(minutes=1))
    assert leaving.instance.signals == ["TERM"]
    assert leaving.drain.notice is not None
    assert leaving.drain.notice.deadline <= leaving.bench.clock.now() + DRAIN_TIMEOUT
