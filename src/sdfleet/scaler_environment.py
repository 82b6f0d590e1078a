"""What the fast scaler reads at start: beside `sdfleet.environment`, for the other functions are smaller without it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Self

from sdfleet.domain.fleet_observation import (
    DEFAULT_FALLBACK_AFTER,
    DEFAULT_MOST_BOOT_FAILURES,
    DEFAULT_RETURN_AFTER,
    DEFAULT_SURPLUS_AFTER,
    DEFAULT_TARGET_QUEUE,
    ScalerSettings,
)
from sdfleet.domain.scaling import DEFAULT_IDLE_AFTER
from sdfleet.environment import fields_of
from sdfleet.errors import ConfigError

_VARIABLE = "SDFLEET_FLEET_SCALER"


@dataclass(frozen=True)
class ScaledFleetEnvironment:
    """A fleet of the fast scaler's, and what it aims at (`sdfleet.config.fleet.ScalingConfig`)."""

    runtime: str
    queue_url: str
    target_queue_s: int = int(DEFAULT_TARGET_QUEUE.total_seconds())
    idle_after_s: int = int(DEFAULT_IDLE_AFTER.total_seconds())
    surplus_after_s: int = int(DEFAULT_SURPLUS_AFTER.total_seconds())
    most_boot_failures: int = DEFAULT_MOST_BOOT_FAILURES
    #: None: never.
    fallback_after_s: int | None = int(DEFAULT_FALLBACK_AFTER.total_seconds())
    return_after_s: int = int(DEFAULT_RETURN_AFTER.total_seconds())

    @property
    def settings(self) -> ScalerSettings:
        return ScalerSettings(
            target_queue=timedelta(seconds=self.target_queue_s),
            idle_after=timedelta(seconds=self.idle_after_s),
            surplus_after=timedelta(seconds=self.surplus_after_s),
            most_boot_failures=self.most_boot_failures,
            fallback_after=None if self.fallback_after_s is None else timedelta(seconds=self.fallback_after_s),
            return_after=timedelta(seconds=self.return_after_s),
        )


@dataclass(frozen=True)
class FleetScalerEnvironment:
    """What the fast scaler needs."""

    deployment_id: str
    table_name: str
    fleets: tuple[ScaledFleetEnvironment, ...]
    log_level: str = "INFO"

    def to_env(self) -> dict[str, str]:
        return {_VARIABLE: json.dumps(asdict(self), separators=(",", ":"))}

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Raises:
        ConfigError: the variable is missing or does not fit.
        """
        fields = fields_of(environ, _VARIABLE)
        try:
            fleets = tuple(ScaledFleetEnvironment(**fleet) for fleet in fields.pop("fleets"))
            return cls(fleets=fleets, **fields)
        except (KeyError, TypeError) as error:
            raise ConfigError(f"{_VARIABLE} does not fit this version: {error}") from error
