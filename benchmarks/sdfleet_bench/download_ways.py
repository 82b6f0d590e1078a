"""How a model is downloaded in the benchmark."""

from __future__ import annotations

from enum import StrEnum

BUCKET = "models"
KEY = "Stable-diffusion/model.safetensors"
#: Stands where its path would.
WITHOUT_S5CMD = "-"


class Way(StrEnum):
    #: One GET through the scheduler's own client, written as it comes.
    SINGLE = "single"
    #: As an instance does.
    SCHEDULER = "scheduler"
    S5CMD = "s5cmd"
