"""Strikes the faults of a schedule, each on what is there at its moment."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from sdfleet.errors import LocalModeError
from sdfleet_local.chaos.aws_faults import SERVICES, AwsFaultProxy
from sdfleet_local.chaos.evidence import Listener
from sdfleet_local.chaos.loop_thread import LoopThread
from sdfleet_local.chaos.runtimes import Runtimes
from sdfleet_local.chaos.schedule import COMFYUI_FAULTS, INSTANCE_FAULTS, RUNTIME_FAULTS, Fault, FaultKind
from sdfleet_local.chaos.traffic import Traffic
from sdfleet_local.control import ControlClient
from sdfleet_local.deployment import LocalDeployment

#: A fault of instances waits this long for them to be in service: a whole pool may just be starting.
_TARGET_WITHIN_S = 20.0
#: As long as a real ComfyUI may need to be found hung, restarted, and up again, on two busy cores.
_COMFYUI_WITHIN_S = 240.0
#: From a task's submission to its work.
_AT_WORK_WITHIN_S = 5.0
#: A fault of one instance waits until so many are in service: a fleet that is never there proves little.
_LEFT_STANDING = 2
_POLL_S = 0.2

RUNTIME_KINDS = frozenset((*RUNTIME_FAULTS, *COMFYUI_FAULTS))


@dataclass(frozen=True)
class Strike:
    """A fault that took an instance's work away."""

    kind: FaultKind
    instance_id: str
    #: Monotonic seconds.
    at: float


@dataclass(frozen=True)
class Target:
    instance_id: str
    pid: int


class Striker:
    def __init__(
        self,
        deployment: LocalDeployment,
        loop: LoopThread,
        runtimes: Runtimes,
        proxy: AwsFaultProxy,
        traffic: Traffic,
        requests: Listener,
        *,
        is_paced: bool = False,
    ) -> None:
        """`is_paced`: hold tasks back, so that every fault of an instance or a runtime meets some at work."""
        self._deployment = deployment
        self._control: ControlClient = deployment.control()
        self._loop = loop
        self._runtimes = runtimes
        self._proxy = proxy
        self._traffic = traffic
        self._requests = requests
        self._is_paced = is_paced
        #: Of the schedule, up to the fault at hand.
        self._share = 0.0
        #: Faults that struck, and those that found nothing to strike.
        self.struck: Counter[FaultKind] = Counter()
        self.missed: Counter[FaultKind] = Counter()
        self.strikes: list[Strike] = []

    def run(self, schedule: tuple[Fault, ...], stopping: threading.Event) -> None:
        """Strike one after the other, each at its time or as soon after it as it can."""
        began = time.monotonic()
        for number, fault in enumerate(schedule, start=1):
            if stopping.wait(max(0.0, began + fault.at_s - time.monotonic())):
                return
            self._share = number / len(schedule)
            has_struck = self._strike(fault, stopping)
            (self.struck if has_struck else self.missed)[fault.kind] += 1

    def _strike(self, fault: Fault, stopping: threading.Event) -> bool:
        kind = fault.kind
        if kind in INSTANCE_FAULTS:
            return self._strike_instances(fault, stopping)
        if kind in RUNTIME_KINDS:
            return self._strike_runtimes(fault, stopping)
        self._release()
        if kind is FaultKind.AWS_OUTAGE:
            service = SERVICES[int(fault.aim * len(SERVICES))]
            self._loop.call(self._proxy.take_away(service, lasts_s=fault.lasts_s))
            return True
        if kind is FaultKind.POISON:
            self._traffic.send_poison(fault.aim)
            return True
        if kind is FaultKind.CANCEL:
            return self._traffic.cancel_one(fault.aim)
        return self._traffic.send_twice(list(self._requests.heard), fault.aim)

    def _strike_runtimes(self, fault: Fault, stopping: threading.Event) -> bool:
        if fault.kind is FaultKind.RUNTIMES_DIE and not self._is_paced:
            return self._runtimes.strike_all(lasts_s=fault.lasts_s)
        targets = self._targets(stopping)
        if not targets:
            return False
        if self._is_paced:
            targets = self._at_work(targets, stopping) or targets
        if fault.kind is FaultKind.RUNTIMES_DIE:
            return self._runtimes.strike_all(lasts_s=fault.lasts_s)
        chosen = _chosen(targets, fault.aim).instance_id
        return self._runtimes.strike(fault.kind, chosen, lasts_s=fault.lasts_s, jobs=fault.jobs)

    def _strike_instances(self, fault: Fault, stopping: threading.Event) -> bool:
        is_pool = fault.kind is FaultKind.POOL_NOTICE
        targets = self._targets(stopping, at_least=1 if is_pool else _LEFT_STANDING)
        if not targets:
            return False
        busy = self._at_work(targets, stopping)
        chosen = targets if is_pool else [_chosen(busy or targets, fault.aim)]
        # Before the act: the runtime double sees its connections cut while this thread still returns from the call.
        now = time.monotonic()
        hit = [target for target in chosen if self._act(fault.kind, target)]
        self.strikes += [Strike(fault.kind, target.instance_id, now) for target in hit]
        return bool(hit)

    def _targets(self, stopping: threading.Event, *, at_least: int = 1) -> list[Target]:
        """The instances in service; waits a while for `at_least` so many."""
        end = time.monotonic() + (_COMFYUI_WITHIN_S if self._is_paced else _TARGET_WITHIN_S)
        while True:
            targets = [
                Target(str(one["instance_id"]), int(one["pid"]))
                for one in self._control.instances()
                if one["state"] == "InService" and self._runtimes.is_up(str(one["instance_id"]))
            ]
            if len(targets) >= at_least or time.monotonic() > end or stopping.wait(_POLL_S):
                return sorted(targets, key=lambda target: target.instance_id)

    def _at_work(self, targets: list[Target], stopping: threading.Event) -> list[Target]:
        """Those that have a task; if tasks are held back, some are let go and waited for."""
        self._release()
        end = time.monotonic() + (_AT_WORK_WITHIN_S if self._is_paced else 0.0)
        while True:
            busy = [target for target in targets if self._runtimes.is_busy(target.instance_id)]
            if busy or time.monotonic() >= end or stopping.wait(_POLL_S / 4):
                return busy

    def _release(self) -> None:
        if self._is_paced:
            self._traffic.release(self._share)

    def _signal(self, target: Target, number: signal.Signals) -> bool:
        state = self._deployment.running()
        # By the deployment's own word only: the id may be another process's by now.
        if state is None or not any(child.pid == target.pid and child.is_alive for child in state.children):
            return False
        try:
            os.kill(target.pid, number)
        except ProcessLookupError:
            return False
        return True

    def _act(self, kind: FaultKind, target: Target) -> bool:
        if kind is FaultKind.KILL:
            return self._signal(target, signal.SIGKILL)
        if kind is FaultKind.SIGTERM:
            return self._signal(target, signal.SIGTERM)
        words: dict[FaultKind, Callable[[str], object]] = {
            FaultKind.REBALANCE: self._control.recommend_rebalance,
            FaultKind.SCALE_IN: self._control.terminate,
            FaultKind.DRAIN: self._control.drain,
        }
        try:
            words.get(kind, self._control.interrupt)(target.instance_id)
        except LocalModeError:
            # It has just died of something else.
            return False
        return True


def _chosen(targets: list[Target], aim: float) -> Target:
    return targets[int(aim * len(targets))]
