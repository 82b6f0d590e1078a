"""Which checkpoints a WebUI has in memory, and how long it takes to get another."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from sdfleet.telemetry import logs
from sdfleet_scheduler.runtimes.base import LoadedCallback, ModelLoad
from sdfleet_scheduler.runtimes.sdwebui_checkpoint import Checkpoint
from sdfleet_scheduler.runtimes.sdwebui_watch import ServerControl

log = logs.get_logger(__name__)

#: How often a job that begins with another checkpoint is looked at: a switch takes from half a second to a minute.
LOOK = timedelta(seconds=0.2)


@dataclass(frozen=True)
class Switch:
    """A job that needs another checkpoint than the one before it."""

    model: str
    was_in_memory: bool
    began_at: float


class Loading:
    def __init__(
        self,
        control: ServerControl,
        on_loaded: LoadedCallback,
        *,
        keep: int | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`keep`: so many checkpoints the server is told to keep in memory; None: as it is configured."""
        self._control = control
        self._on_loaded = on_loaded
        self._keep = keep
        self._monotonic = monotonic
        #: Files, the last used first.
        self._used: list[str] = []

    def forget(self) -> None:
        """Nobody knows what is loaded."""
        self._used.clear()

    async def configure(self, *, is_forge: bool) -> None:
        """Have the server keep several checkpoints. (Forge has no such setting: it keeps what fits.)"""
        self.forget()
        if self._keep is None or is_forge:
            return
        await self._control.keep_checkpoints(self._keep)
        kept = await self._control.checkpoints_kept()
        if kept != self._keep:
            log.warning("runtime.models_not_kept", wanted=self._keep, kept=kept)

    async def begin(self, checkpoint: Checkpoint | None) -> Switch | None:
        """To be called when the job is about to be sent; None: it needs no other checkpoint than the last."""
        if checkpoint is None or not self._used or self._used[0] == checkpoint.file:
            return None
        kept = self._used[: await self._control.checkpoints_kept()] if checkpoint.file in self._used else []
        return Switch(checkpoint.file, checkpoint.file in kept, self._monotonic())

    def end(self, checkpoint: Checkpoint | None, switch: Switch | None, *, first_step_at: float | None) -> None:
        """The job went well. Without a step that was seen (a job of a moment), all of its time counts."""
        if checkpoint is not None:
            self._used = [checkpoint.file, *(file for file in self._used if file != checkpoint.file)]
        if switch is not None:
            seconds = (first_step_at or self._monotonic()) - switch.began_at
            self._on_loaded(ModelLoad(switch.model, seconds, was_in_memory=switch.was_in_memory))
