"""A boot's phases, from the instance's launch to its first picture: what each took, and which the total waited for.

The boot scripts and the scheduler write marks (`<phase> begin|end <epoch seconds>`); phases overlap.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum


class Phase(StrEnum):
    #: EC2's: from the launch to the kernel's start.
    INSTANCE = "instance"
    #: The kernel's and systemd's, to the first step of ours.
    SYSTEM = "system"
    #: The instance's own NVMe becomes a file system.
    DISKS = "disks"
    #: The scheduler's container image is there.
    SCHEDULER_IMAGE = "scheduler_image"
    #: From its container's start until the scheduler reports and fetches.
    SCHEDULER = "scheduler"
    #: What the runtime starts with comes from S3.
    MODELS = "models"
    #: The runtime's container image is there.
    RUNTIME_IMAGE = "runtime_image"
    #: From its container's start until the server says that it works.
    RUNTIME = "runtime"
    #: The first picture, and with it the model on the GPU.
    PICTURE = "picture"


class Edge(StrEnum):
    BEGIN = "begin"
    END = "end"


@dataclass(frozen=True)
class Mark:
    phase: Phase
    edge: Edge
    at: datetime


@dataclass(frozen=True)
class Span:
    phase: Phase
    begin: datetime
    end: datetime

    @property
    def seconds(self) -> float:
        return (self.end - self.begin).total_seconds()


@dataclass(frozen=True)
class BootTimeline:
    launched_at: datetime
    #: In the order of their ends; the last is the first picture.
    spans: tuple[Span, ...]

    @property
    def total(self) -> timedelta:
        return max((span.end for span in self.spans), default=self.launched_at) - self.launched_at

    @property
    def seconds(self) -> Mapping[str, float]:
        return {span.phase.value: span.seconds for span in self.spans}

    @property
    def waited_for(self) -> tuple[Phase, ...]:
        """Back from the picture, what each phase could not begin without: any of them faster, and the boot is."""
        path: list[Phase] = []
        at = max((span.end for span in self.spans), default=self.launched_at)
        rest = sorted(self.spans, key=lambda span: (span.end, span.begin))
        while rest:
            span = rest.pop()
            # Clocks of scripts and scheduler are read a moment apart.
            if span.end <= at + _APART:
                path.append(span.phase)
                at = span.begin
        return tuple(reversed(path))


_APART = timedelta(milliseconds=50)


def read_marks(lines: Iterable[str]) -> Iterator[Mark]:
    """Lines that are no marks are left out: a script may have been cut off in the middle of one."""
    for line in lines:
        try:
            phase, edge, epoch = line.split()
            yield Mark(Phase(phase), Edge(edge), datetime.fromtimestamp(float(epoch), UTC))
        except (ValueError, OverflowError, OSError):
            continue


def timeline(launched_at: datetime, marks: Iterable[Mark], *, kernel_at: datetime | None = None) -> BootTimeline:
    """`kernel_at`: when the machine started; before the launch (a local process, a reboot of long ago) it is no part.

    Of a phase that was begun again only its last try is kept; what has not ended, or has before it began, is left out.
    """
    begins: dict[Phase, datetime] = {}
    ends: dict[Phase, datetime] = {}
    for mark in marks:
        if mark.at >= launched_at:
            (begins if mark.edge is Edge.BEGIN else ends)[mark.phase] = mark.at
    first = min(begins.values(), default=None)
    if kernel_at is not None and kernel_at >= launched_at and first is not None and first >= kernel_at:
        begins |= {Phase.INSTANCE: launched_at, Phase.SYSTEM: kernel_at}
        ends |= {Phase.INSTANCE: kernel_at, Phase.SYSTEM: first}
    spans = [Span(phase, begin, ends[phase]) for phase, begin in begins.items() if ends.get(phase, begin) > begin]
    return BootTimeline(launched_at, tuple(sorted(spans, key=lambda span: (span.end, span.begin))))
