"""What keeps a message ours, in a time that the tests move."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

from builders import INSTANCE
from scheduler_harness import Harness
from sdfleet.domain import transitions
from sdfleet.domain.wire import messages
from sdfleet.errors import ServiceUnavailable
from sdfleet.memory.clock import FakeClock
from sdfleet.memory.task_queue import MemoryTaskQueue
from sdfleet_scheduler.heartbeat import TICK, Heartbeat
from sdfleet_scheduler.lease import Lease
from sdfleet_scheduler.record import Record
from sdfleet_scheduler.task_run import Stopped, StopReason, TaskRun

VISIBILITY = timedelta(seconds=30)


class Beats:
    """A run under a heartbeat whose sleeps move the clock; `at_tick` happens before each beat."""

    def __init__(self, *, at_tick: Callable[[Beats, int], None] = lambda beats, tick: None) -> None:
        self.clock = FakeClock()
        self.harness = Harness(clock=self.clock, visibility=VISIBILITY)
        self._at_tick = at_tick
        self._ticks = 0
        self.run_in_hand: TaskRun | None = None

    async def run(self, *, ticks: int) -> TaskRun:
        """Claim the task and beat `ticks` times, or until the heartbeat gives up."""
        task = self.harness.submit()
        (message,) = self.harness.queue.receive(max_messages=1, wait=timedelta(0), visibility=VISIBILITY)
        lease = Lease(self.harness.queue, message, self.clock, visibility=VISIBILITY, received_at=self.clock.now())
        run = TaskRun(
            messages.read_message(message.body),
            lease,
            Record(self.harness.store, task),
            self.harness.line.join(),
            token="mine",
        )
        now = self.clock.now()
        await run.record.update(
            lambda queued: transitions.claim(
                queued, run=task.run, token="mine", instance_id=INSTANCE, lease_until=lease.expires_at, now=now
            )
        )
        run.claimed_at = now
        self.run_in_hand = run
        done = asyncio.Event()

        async def sleep(seconds: float) -> None:
            self._ticks += 1
            if self._ticks > ticks:
                done.set()
                await asyncio.Event().wait()
            self.clock.advance(timedelta(seconds=seconds))
            self._at_tick(self, self._ticks)

        heart = asyncio.create_task(Heartbeat(self.clock, visibility=VISIBILITY, sleep=sleep).keep(run))
        ended = asyncio.create_task(done.wait())
        await asyncio.wait({heart, ended}, return_when=asyncio.FIRST_COMPLETED)
        heart.cancel()
        ended.cancel()
        return run


async def stop_reason(run: TaskRun) -> StopReason | None:
    try:
        await run.stoppable(asyncio.sleep(0.01))
    except Stopped as stopped:
        return stopped.reason
    return None


async def test_a_message_stays_invisible_for_as_long_as_it_takes() -> None:
    def nobody_else_sees_it(beats: Beats, tick: int) -> None:
        assert beats.harness.queue.receive(max_messages=1, wait=timedelta(0), visibility=VISIBILITY) == []

    beats = Beats(at_tick=nobody_else_sees_it)
    run = await beats.run(ticks=600)
    assert await stop_reason(run) is None


async def test_the_records_lease_ends_no_later_than_the_messages_visibility() -> None:
    beats = Beats()
    run = await beats.run(ticks=60)
    claim = beats.harness.task().claim
    assert claim is not None
    assert beats.clock.now() < claim.lease_until <= run.lease.expires_at


async def test_progress_is_written_as_it_grows() -> None:
    def grow(beats: Beats, tick: int) -> None:
        assert beats.run_in_hand is not None
        beats.run_in_hand.report_progress(0.04 * tick)

    beats = Beats(at_tick=grow)
    await beats.run(ticks=3)
    # The first step is not worth a write; the second was, the third is not yet.
    assert beats.harness.task().progress == 0.08


async def test_a_requested_cancel_is_seen_by_the_next_beat() -> None:
    def cancel(beats: Beats, tick: int) -> None:
        if tick == 3:
            task = beats.harness.task()
            asked = transitions.request_cancel(task, now=beats.clock.now())
            beats.harness.memory_store.save(asked, expecting=task)

    run = await Beats(at_tick=cancel).run(ticks=3)
    assert await stop_reason(run) is StopReason.CANCEL_REQUESTED


async def test_ticks_count_from_the_start_of_the_work() -> None:
    beaten: list[float] = []

    def begin(beats: Beats, tick: int) -> None:
        run = beats.run_in_hand
        assert run is not None
        if tick == 1:
            beats.harness.line.begin(run.ticket)
        began_at = run.ticket.begun_at
        assert began_at is not None
        beaten.append((beats.clock.now() - began_at).total_seconds())

    await Beats(at_tick=begin).run(ticks=3)
    assert beaten == [0, TICK.total_seconds(), 2 * TICK.total_seconds()]


async def test_a_claim_of_another_instance_stops_the_run() -> None:
    def steal(beats: Beats, tick: int) -> None:
        if tick == 1:
            task = beats.harness.task()
            given = transitions.requeue(task, run=task.run, token="mine", spends_attempt=False)
            beats.harness.memory_store.save(given, expecting=task)

    run = await Beats(at_tick=steal).run(ticks=10)
    assert await stop_reason(run) is StopReason.CLAIM_LOST


async def test_a_heartbeat_that_fails_stops_the_work_before_the_lease_ends() -> None:
    class AwayQueue(MemoryTaskQueue):
        def extend(self, receipt: str, by: timedelta) -> None:
            raise ServiceUnavailable

    beats = Beats()
    beats.harness.queue = AwayQueue(beats.clock)
    run = await beats.run(ticks=100)
    assert await stop_reason(run) is StopReason.LEASE_LOST
    assert beats.clock.now() < run.lease.expires_at
