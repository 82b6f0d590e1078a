"""The instance's way into service: its first picture proves it, a line tells how long it took and where.

A boot that fails keeps the instance out of service and is counted; whoever waits for the instance is told why.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sdfleet.domain import names
from sdfleet.domain.boot_timeline import BootTimeline, Edge, Mark, Phase, timeline
from sdfleet.domain.retry import FailureKind
from sdfleet.errors import LifecycleActionNotFound, ServiceUnavailable
from sdfleet.fleet_ports import BootRecords
from sdfleet.ports import Clock, LifecycleHooks
from sdfleet.telemetry import logs, metrics
from sdfleet_scheduler.boot_notes import BootNotes
from sdfleet_scheduler.canary import Canary
from sdfleet_scheduler.offload import offload
from sdfleet_scheduler.runtimes.base import RuntimeFailure

log = logs.get_logger(__name__)

#: A phase's end is known this exactly, and a failure this soon.
TICK = timedelta(seconds=0.2)
#: One step of a small picture, a large checkpoint from a slow disk included.
PICTURE_TIMEOUT = timedelta(minutes=5)
#: A server that has only just come up may fail the first one or two.
MOST_TRIES = 3
#: Between two calls of which the first failed.
PAUSE = timedelta(seconds=2)


@dataclass(frozen=True)
class BootContext:
    """Which boot of what."""

    fleet: str
    runtime: str
    release: str
    instance_id: str
    launched_at: datetime
    #: After the launch; None: it may take as long as it likes.
    patience: timedelta | None
    kernel_at: datetime | None = None


class Boot:
    def __init__(
        self,
        context: BootContext,
        records: BootRecords,
        clock: Clock,
        *,
        canary: Canary | None,
        notes: BootNotes | None,
        hook: LifecycleHooks | None,
        has_models: Callable[[], bool],
        trouble: Callable[[], str | None] = lambda: None,
        on_failed: Callable[[], object] = lambda: None,
    ) -> None:
        """`notes` None: no script of the machine's looks after the boot. `hook`: the launch hook; None: none waits.

        `trouble`: why the boot cannot succeed any more. `on_failed`: leave; where there are notes, the machine does it.
        """
        self._context = context
        self._records = records
        self._clock = clock
        self._canary = canary
        self._notes = notes
        self._hook = hook
        self._has_models = has_models
        self._trouble = trouble
        self._on_failed = on_failed
        self._marks: list[Mark] = []
        self._tries = 0
        self._is_proven = notes is not None and notes.is_completed
        self._was_completed = self._is_proven
        #: Why the boot has failed; None: it has not.
        self.failure: str | None = None

    @property
    def is_given_up(self) -> bool:
        """It has failed, and the machine saves its log and has the group end the instance."""
        return self.failure is not None and self._notes is not None

    @property
    def is_over(self) -> bool:
        return self._is_proven or self.failure is not None

    async def prove(self) -> bool:
        """Whether the instance has made a picture; makes one. To be called when the runtime says that it works."""
        if self._is_proven or self.failure is not None:
            return self._is_proven
        if not any(mark.phase is Phase.PICTURE for mark in self._marks):
            self._mark(Phase.RUNTIME, Edge.END)
            self._mark(Phase.PICTURE, Edge.BEGIN)
        try:
            if self._canary is not None:
                async with asyncio.timeout(PICTURE_TIMEOUT.total_seconds()):
                    await self._canary()
        except RuntimeFailure as failure:
            self._picture_failed(f"{failure.code}: {failure}", is_final=failure.kind is FailureKind.PERMANENT)
        except TimeoutError:
            self._picture_failed(f"it took longer than {PICTURE_TIMEOUT.total_seconds():.0f} s", is_final=True)
        else:
            self._mark(Phase.PICTURE, Edge.END)
            self._is_proven = True
        return self._is_proven

    def fail(self, reason: str) -> None:
        """The instance will never be of use. Of several reasons the first counts; after the boot none does."""
        if not self.is_over and self._context.patience is not None:
            self.failure = reason

    async def run(self) -> None:
        """Until cancelled; what is to be done is done after the boot's end."""
        if not self._was_completed:
            await self._follow()
            if self.failure is not None:
                await self._report_failure(self.failure)
            else:
                await self._report_completion()
        # The supervisor takes a part that returns for the end of all.
        await asyncio.Event().wait()

    async def _follow(self) -> None:
        self._mark(Phase.SCHEDULER, Edge.END)
        self._mark(Phase.MODELS, Edge.BEGIN)
        deadline = None if self._context.patience is None else self._context.launched_at + self._context.patience
        is_fetching = True
        while not self.is_over:
            if is_fetching and self._has_models():
                is_fetching = False
                self._mark(Phase.MODELS, Edge.END)
            reason = self._trouble() or (self._notes.failure if self._notes is not None else None)
            if reason is not None:
                self.fail(reason)
            elif deadline is not None and self._clock.now() >= deadline:
                self.fail(self._what_is_missing(is_fetching=is_fetching))
            await asyncio.sleep(TICK.total_seconds())

    def _what_is_missing(self, *, is_fetching: bool) -> str:
        waited = (self._clock.now() - self._context.launched_at).total_seconds()
        missing = "the models have not come from the bucket" if is_fetching else "the runtime's server is not ready"
        return f"After {waited:.0f} s {missing}; the log of the instance says more."

    def _picture_failed(self, reason: str, *, is_final: bool) -> None:
        self._tries += 1
        log.warning("boot.picture_failed", reason=reason, tries=self._tries)
        if is_final or self._tries >= MOST_TRIES:
            self.fail(f"The first picture could not be made: {reason}")

    async def _report_completion(self) -> None:
        line = self._timeline()
        total_s = line.total.total_seconds()
        seconds = {names.boot_phase_metric(phase): value for phase, value in line.seconds.items()}
        log.info(
            "boot.completed",
            total_s=round(total_s, 3),
            phases={phase: round(value, 3) for phase, value in line.seconds.items()},
            waited_for=line.waited_for,
            **metrics.embedded(
                {names.BOOTS_COMPLETED: 1}, self._dimensions(), seconds={names.BOOT_SECONDS: total_s, **seconds}
            ),
        )
        await self._insist(self._complete_hook, "boot.hook_not_completed")
        await self._insist(
            lambda: self._records.completed(
                self._context.runtime, self._context.release, boot_s=total_s, now=self._clock.now()
            ),
            "boot.not_recorded",
        )
        if self._notes is not None:
            await offload(self._notes.complete)

    async def _report_failure(self, reason: str) -> None:
        # Where the machine gives up the instance, it counts the metric too.
        counted = metrics.embedded({names.BOOTS_FAILED: 1}, self._dimensions()) if self._notes is None else {}
        line = self._timeline()
        phases = {phase: round(value, 3) for phase, value in line.seconds.items()}
        log.error("boot.failed", reason=reason, phases=phases, **counted)
        try:
            await offload(self._count_failure, reason)
        except ServiceUnavailable as error:
            log.warning("boot.not_recorded", reason=str(error))
        if self._notes is not None:
            await offload(self._notes.fail, reason)
        else:
            self._on_failed()

    def _count_failure(self, reason: str) -> None:
        self._records.failed(
            self._context.runtime,
            self._context.release,
            instance_id=self._context.instance_id,
            reason=reason,
            now=self._clock.now(),
        )

    def _complete_hook(self) -> None:
        if self._hook is None:
            return
        try:
            self._hook.complete(self._context.instance_id)
        except LifecycleActionNotFound as error:
            # After a reboot, or where the group has waited too long.
            log.warning("lifecycle_action.absent", reason=str(error))
        else:
            log.info("instance.in_service")

    async def _insist(self, call: Callable[[], None], event: str) -> None:
        while True:
            try:
                await offload(call)
            except ServiceUnavailable as error:
                log.warning(event, reason=str(error))
            else:
                return
            await asyncio.sleep(PAUSE.total_seconds())

    def _dimensions(self) -> dict[str, str]:
        return {names.FLEET_DIMENSION: self._context.fleet}

    def _mark(self, phase: Phase, edge: Edge) -> None:
        self._marks.append(Mark(phase, edge, self._clock.now()))

    def _timeline(self) -> BootTimeline:
        return timeline(self._context.launched_at, self._all_marks(), kernel_at=self._context.kernel_at)

    def _all_marks(self) -> Iterator[Mark]:
        """The scripts' and ours. Where there are no scripts, the scheduler is all that is started."""
        theirs = [] if self._notes is None else self._notes.marks()
        begun = {mark.phase for mark in theirs}
        if Phase.SCHEDULER not in begun:
            yield Mark(Phase.SCHEDULER, Edge.BEGIN, self._context.launched_at)
        if Phase.RUNTIME not in begun:
            yield from (
                Mark(Phase.RUNTIME, Edge.BEGIN, mark.at) for mark in self._marks if mark.phase is Phase.SCHEDULER
            )
        yield from theirs
        yield from self._marks
