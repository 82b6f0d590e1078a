"""The events of a fleet: tasks, instances, the group, Spot. What decides about capacity is in `policies`.

Built for a million tasks: an arrival is no event while every instance is busy, and a finished task is one exchange on
the heap. Everything else is rare and goes through plain callbacks.
"""

from __future__ import annotations

import heapq
import random
from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from sdfleet_sim.arrivals import Trace
from sdfleet_sim.assumptions import Assumptions
from sdfleet_sim.durations import SIZES, boot, task_sizes
from sdfleet_sim.instance import Instance, Purchase, State
from sdfleet_sim.ledger import Ledger
from sdfleet_sim.scenario import Scenario
from sdfleet_sim.spot_instances import SpotInstances, on_demand_among
from sdfleet_sim.spot_market import Zone

#: Nothing ever waits this long.
_NEVER = float("inf")


class Fleet:
    """One run of one scenario. Times are seconds from its beginning."""

    def __init__(self, scenario: Scenario, trace: Trace, assumed: Assumptions, zones: Sequence[Zone]) -> None:
        self.scenario = scenario
        self.plan = scenario.fleet
        self.assumed = assumed
        self.trace = trace
        self.now = 0.0
        self.desired = 0
        self.ledger = Ledger(len(trace))
        #: Of instances that are there or leave.
        self.instances: dict[str, Instance] = {}
        self.idle: list[Instance] = []
        self.busy = 0
        #: On-Demand stands in for Spot (the fast scaler's word).
        self.is_on_demand_only = False
        #: Launches go to this release (a rollout's word).
        self.launches_new_release = False
        self.boot_failures = 0
        self.boot_failed_at: float | None = None
        self.short_since: float | None = None
        self.is_over = False

        self._visible_at = array("d", (at + assumed.scheduler.delivery_s for at in trace.accepted))
        self._head = 0
        self._returned: deque[int] = deque()
        self._sizes = task_sizes(assumed, scenario.runtime, scenario.seed)
        self._heap: list[tuple[float, int, Instance | None, int, Callable[[Any], None] | None, Any]] = []
        self._sequence = 0
        self._launched = 0
        self._retry_at = -1.0
        self._draw = random.Random(f"{scenario.seed}/fleet")
        self._boots = random.Random(f"{scenario.seed}/boots")
        self._spot = SpotInstances(self, zones)
        for count in range(self.plan.initial):
            self.desired = count + 1
            self._launch(is_ready=True)
        self.ledger.asked_for(0.0, self.desired)

    # What a policy sees.

    def visible(self) -> int:
        """Messages that wait."""
        return bisect_right(self._visible_at, self.now) - self._head + len(self._returned)

    @property
    def in_flight(self) -> int:
        return self.busy

    def there(self) -> list[Instance]:
        return [one for one in self.instances.values() if one.is_there]

    def mean_task_s(self) -> float | None:
        """Of the tasks so far; None: there was none."""
        if not self.ledger.done:
            return None
        return (self.ledger.busy_s + sum(one.busy_s for one in self.instances.values())) / self.ledger.done

    def next_accepted(self) -> float:
        """When the next task is accepted; infinite: no more will come."""
        index = bisect_right(self.trace.accepted, self.now)
        return self.trace.accepted[index] if index < len(self.trace) else _NEVER

    @property
    def is_done(self) -> bool:
        return self.ledger.done == len(self.trace) and self.now >= self.trace.duration_s

    # What a policy does.

    def at(self, time: float, callback: Callable[[Any], None], argument: Any = None) -> None:
        heapq.heappush(self._heap, (time, self._next(), None, 0, callback, argument))

    def set_desired(self, capacity: int) -> None:
        """A new desired capacity; instances are launched now, and ended by `end` only."""
        self.desired = capacity
        self.ledger.asked_for(self.now, capacity)
        self.fill()

    def end_and_shrink(self, one: Instance) -> None:
        """As TerminateInstanceInAutoScalingGroup does it, with ShouldDecrementDesiredCapacity."""
        self.desired -= 1
        self.ledger.asked_for(self.now, self.desired)
        self.end(one)

    def end(self, one: Instance) -> None:
        """Scale-in or replacement: the task in hand is finished first."""
        if one.state is State.BUSY:
            one.state = State.LEAVING
        elif one.is_there:
            self._take_from_idle(one)
            self._leave(one)

    def interrupt(self, one: Instance, *, left_s: float, silent_s: float = 0.0) -> None:
        """It has to go: the task in hand ends if it can, otherwise another instance takes it.

        `left_s`: until it must have ended. `silent_s`: until anybody notices that it has not.
        """
        if one.task >= 0:
            if self._ends_at(one) - self.now <= left_s:
                one.state = State.LEAVING
                return
            self._give_up(one, silent_s)
        if one.state < State.GONE:
            self._take_from_idle(one)
            self._leave(one)

    def set_market(self, *, is_on_demand_only: bool) -> None:
        """Where instances are bought from now on; back at Spot, those bought in between are exchanged."""
        self.is_on_demand_only = is_on_demand_only
        self.fill()
        if not is_on_demand_only:
            self._spot.exchange()

    def launch_above(self, count: int) -> None:
        """Instances on top of the desired capacity, as a refresh has them for a while."""
        for _ in range(count):
            if not self._launch():
                return

    def fill(self) -> None:
        """Launch what the group lacks."""
        there = sum(1 for one in self.instances.values() if one.is_there)
        while there < self.desired:
            if not self._launch():
                if self.short_since is None:
                    self.short_since = self.now
                if self._retry_at <= self.now:
                    self._retry_at = self.now + self.assumed.auto_scaling.spot_retry_s
                    self.at(self._retry_at, lambda _: self.fill())
                return
            there += 1
        self.short_since = None

    # The run.

    def run(self) -> Ledger:
        """Until every task is done and the policy has nothing left to do."""
        heap, visible_at, sizes = self._heap, self._visible_at, self._sizes
        ledger, idle, returned = self.ledger, self.idle, self._returned
        began = ledger.began
        count, mask = len(visible_at), SIZES - 1
        gap = self.assumed.scheduler.between_tasks_s
        deadline = self.trace.duration_s + self.scenario.patience.total_seconds()
        replace = heapq.heapreplace
        while not self.is_over:
            if idle and self._head < count and (not heap or visible_at[self._head] <= heap[0][0]):
                self.now = max(self.now, visible_at[self._head])
                self._head += 1
                self._begin(self._any_idle(), self._head - 1, self.now)
                continue
            if not heap or heap[0][0] > deadline:
                break
            at, _, one, turn, callback, argument = heap[0]
            self.now = at
            if callback is not None:
                heapq.heappop(heap)
                callback(argument)
                continue
            if one is None or one.turn != turn:
                heapq.heappop(heap)
                continue
            one.busy_s += at - one.began_at
            ledger.done += 1
            if one.state is State.LEAVING:
                heapq.heappop(heap)
                self.busy -= 1
                one.task = -1
                self._leave(one)
                continue
            if returned:
                task = returned.popleft()
            elif self._head < count and visible_at[self._head] <= at:
                task = self._head
                self._head = task + 1
            else:
                heapq.heappop(heap)
                self.busy -= 1
                one.task = -1
                one.turn += 1
                self._to_idle(one)
                continue
            start = at + gap
            began[task] = start
            one.task = task
            one.began_at = start
            one.turn = turn + 1
            self._sequence += 1
            replace(heap, (start + sizes[task & mask] * one.pace, self._sequence, one, turn + 1, None, None))
        ledger.close(self.now, self.instances.values())
        return ledger

    def finish(self) -> None:
        self.is_over = True

    # Tasks.

    def _begin(self, one: Instance, task: int, at: float) -> None:
        self.busy += 1
        one.state = State.BUSY
        one.task = task
        one.began_at = at
        one.turn += 1
        self.ledger.began[task] = at
        size = self._sizes[task & (SIZES - 1)]
        heapq.heappush(self._heap, (at + size * one.pace, self._next(), one, one.turn, None, None))

    def _ends_at(self, one: Instance) -> float:
        return one.began_at + self._sizes[one.task & (SIZES - 1)] * one.pace

    def _give_up(self, one: Instance, silent_s: float) -> None:
        """The task in hand was for nothing; it is the next that anybody takes."""
        lost = max(0.0, self.now - one.began_at)
        one.busy_s += lost
        self.ledger.lost(lost)
        task, one.task = one.task, -1
        one.turn += 1
        self.busy -= 1
        if silent_s:
            self.at(self.now + silent_s, self._hand_on, task)
        else:
            self._hand_on(task)

    def _hand_on(self, task: int) -> None:
        if self.idle:
            self._begin(self._any_idle(), task, self.now)
        else:
            self._returned.append(task)

    def _take_or_rest(self, one: Instance) -> None:
        if self._returned:
            self._begin(one, self._returned.popleft(), self.now)
        elif self._head < len(self._visible_at) and self._visible_at[self._head] <= self.now:
            self._head += 1
            self._begin(one, self._head - 1, self.now)
        else:
            self._to_idle(one)

    # Instances.

    def _launch(self, *, is_ready: bool = False) -> bool:
        """One more; False: there is no Spot."""
        on_demand = on_demand_among(self.there())
        zone = -1
        if on_demand >= self.plan.on_demand_of(self.desired) and not self.is_on_demand_only:
            found = 0 if is_ready else self._spot.zone_with_capacity()
            if found is None:
                return False
            zone = found
        types = self.plan.instance_types
        kind = types[int(self._draw.random() * len(types))]
        self._launched += 1
        one = Instance(
            self._launched,
            instance_type=kind,
            pace=self.assumed.machines[kind].pace,
            purchase=Purchase.SPOT if zone >= 0 else Purchase.ON_DEMAND,
            zone=zone,
            ordered_at=self.now,
            is_new_release=self.launches_new_release,
        )
        self.instances[one.instance_id] = one
        if is_ready:
            one.ready_at = self.now
            self._to_idle(one)
            return True
        takes = boot(self.assumed.boot, self._boots, volume_mib_s=self.plan.volume_mib_s)
        one.billed_from = self.now + takes.running_s
        self.at(self.now + takes.ready_s, self._fail_boot if takes.is_failed else self._into_service, one)
        return True

    def _into_service(self, one: Instance) -> None:
        if one.state is not State.COMING:
            return
        one.ready_at = self.now
        self.boot_failures = 0
        self.ledger.booted(self.now - one.ordered_at)
        self._take_or_rest(one)

    def _fail_boot(self, one: Instance) -> None:
        if one.state is State.COMING:
            self.boot_failures += 1
            self.boot_failed_at = self.now
            self._leave(one)
            self.fill()

    def _to_idle(self, one: Instance) -> None:
        one.state = State.IDLE
        one.idle_since = self.now
        one.idle_slot = len(self.idle)
        self.idle.append(one)

    def _any_idle(self) -> Instance:
        """Whoever asks the queue first."""
        one = self.idle[int(self._draw.random() * len(self.idle))]
        self._take_from_idle(one)
        return one

    def _take_from_idle(self, one: Instance) -> None:
        if one.idle_slot >= 0:
            last = self.idle.pop()
            if last is not one:
                self.idle[one.idle_slot] = last
                last.idle_slot = one.idle_slot
            one.idle_slot = -1

    def _leave(self, one: Instance) -> None:
        one.state = State.GONE
        one.ended_at = self.now + self.assumed.auto_scaling.termination_s
        del self.instances[one.instance_id]
        self.ledger.ended(one)

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence
