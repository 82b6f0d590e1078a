"""How long an instance takes to change to another model, and where it had it from."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from enum import StrEnum

from sdfleet.telemetry import logs
from sdfleet_scheduler.instruments import Instruments
from sdfleet_scheduler.runtimes.base import ModelLoad

log = logs.get_logger(__name__)


class ModelSource(StrEnum):
    #: The runtime's server still held it.
    MEMORY = "memory"
    #: It lay in the model directory.
    DISK = "disk"
    #: It was downloaded for the task.
    BUCKET = "bucket"


class ModelSwitches:
    def __init__(self, instruments: Instruments) -> None:
        self._instruments = instruments
        #: What downloads took, in seconds, by file name; until the runtime has loaded it.
        self._fetched: dict[str, float] = {}

    def fetched(self, keys: Iterable[str], seconds: float) -> None:
        """A task waited so long for these, which came together."""
        for key in keys:
            self._fetched[posixpath.basename(key)] = seconds

    def loaded(self, load: ModelLoad) -> None:
        """The runtime changed to a model."""
        fetch_s = self._fetched.pop(posixpath.basename(load.model.replace("\\", "/")), None)
        if fetch_s is not None:
            source = ModelSource.BUCKET
        else:
            source = ModelSource.MEMORY if load.was_in_memory else ModelSource.DISK
        seconds = load.seconds + (fetch_s or 0.0)
        self._instruments.model_switch.labels(source=source.value).observe(seconds)
        log.info(
            "model.switched",
            model=load.model,
            source=source,
            seconds=round(seconds, 3),
            fetch_s=round(fetch_s or 0.0, 3),
            load_s=round(load.seconds, 3),
        )
