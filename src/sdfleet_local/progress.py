"""How the supervisor tells the command that started it how far it is: JSON lines on a pipe."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum


class StepKind(StrEnum):
    #: Something begins; the text says what.
    STEP = "step"
    #: Everything runs; the outputs are written.
    READY = "ready"
    #: It will not run, and nothing is left; the text says why.
    FAILED = "failed"


@dataclass(frozen=True)
class Step:
    kind: StepKind
    text: str = ""


class ProgressWriter:
    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def step(self, text: str) -> None:
        """Raises:
        BrokenPipeError: the command has gone; nobody waits for this deployment.
        """
        self._write(Step(StepKind.STEP, text))

    def end(self, step: Step) -> None:
        """The last word; the command may leave."""
        try:
            self._write(step)
        finally:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    def _write(self, step: Step) -> None:
        if self._descriptor is not None:
            os.write(self._descriptor, (json.dumps(asdict(step)) + "\n").encode())


def read_steps(descriptor: int) -> Iterator[Step]:
    """The steps until the supervisor ends its side."""
    with os.fdopen(descriptor) as lines:
        for line in lines:
            fields = json.loads(line)
            yield Step(StepKind(fields["kind"]), fields["text"])
