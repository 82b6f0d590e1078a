"""How an instance refresh is to go: RefreshPreferences, checked as StartInstanceRefresh checks them.

Rules: Auto Scaling API reference, RefreshPreferences; User Guide, "Understand the default values for an instance
refresh" and "Undo changes with a rollback". The texts of refusals are Auto Scaling's where they were seen.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sdfleet_local.scaling_errors import NotEmulated, ValidationError
from sdfleet_local.scaling_wire import Request

#: CheckpointDelay and BakeTime: 0 to 172,800 s.
_LONGEST_WAIT_S = 172_800
_DEFAULT_CHECKPOINT_DELAY_S = 3_600
_DEFAULT_MIN_HEALTHY = 90
_WIDEST_RANGE = 100
_MOST_ALARMS = 10
_PROTECTED = ("Refresh", "Ignore", "Wait")
_STANDBY = ("Terminate", "Ignore", "Wait")


@dataclass(frozen=True)
class Preferences:
    """The defaults are those of the API, not of the console (User Guide, "Understand the default values")."""

    min_healthy: int = _DEFAULT_MIN_HEALTHY
    #: None: not given, which is not the same as 100.
    max_healthy: int | None = None
    warmup: timedelta = timedelta(0)
    #: The last is the target.
    checkpoints: tuple[int, ...] = ()
    checkpoint_delay: timedelta = timedelta(seconds=_DEFAULT_CHECKPOINT_DELAY_S)
    bake: timedelta = timedelta(0)
    skip_matching: bool = False
    auto_rollback: bool = False
    scale_in_protected: str = "Wait"
    standby: str = "Wait"
    alarms: tuple[str, ...] = ()

    @property
    def target(self) -> int:
        """Per cent of the group; 100 without checkpoints."""
        return self.checkpoints[-1] if self.checkpoints else 100

    def to_answer(self) -> dict[str, Any]:
        """As DescribeInstanceRefreshes has it."""
        return {
            "MinHealthyPercentage": self.min_healthy,
            "MaxHealthyPercentage": self.max_healthy,
            "InstanceWarmup": int(self.warmup.total_seconds()),
            "CheckpointPercentages": list(self.checkpoints) or None,
            "CheckpointDelay": int(self.checkpoint_delay.total_seconds()) if self.checkpoints else None,
            "BakeTime": int(self.bake.total_seconds()),
            "SkipMatching": self.skip_matching,
            "AutoRollback": self.auto_rollback,
            "ScaleInProtectedInstances": self.scale_in_protected,
            "StandbyInstances": self.standby,
            "AlarmSpecification": {"Alarms": list(self.alarms)} if self.alarms else None,
        }


def read_preferences(request: Request, *, has_desired_configuration: bool, default_warmup: timedelta) -> Preferences:
    """Of a call of StartInstanceRefresh. `default_warmup` is the group's.

    Raises:
        ValidationError: a rule of the API is broken.
        NotEmulated: a strategy that local mode does not have.
    """
    if request.one_of("Strategy", ("Rolling", "ReplaceRootVolume")) == "ReplaceRootVolume":
        raise NotEmulated("Local mode's instances have no root volume to replace; use the strategy Rolling.")
    given = request.structure("Preferences") or Request({})
    min_healthy = given.integer("MinHealthyPercentage", most=100)
    max_healthy = given.integer("MaxHealthyPercentage", least=100, most=200)
    if max_healthy is not None and min_healthy is None:
        raise ValidationError("If you specify MaxHealthyPercentage, you must also specify MinHealthyPercentage.")
    if max_healthy is not None and min_healthy is not None and max_healthy - min_healthy > _WIDEST_RANGE:
        raise ValidationError(
            "The difference between MinHealthyPercentage and MaxHealthyPercentage cannot be greater than 100."
        )
    auto_rollback = given.flag("AutoRollback") or False
    if auto_rollback and not has_desired_configuration:
        # Word for word: hashicorp/terraform-provider-aws#29830.
        raise ValidationError(
            "The request isn't valid. The AutoRollback parameter cannot be set to true when the DesiredConfiguration "
            "parameter is empty. Set AutoRollback to false or specify a desired configuration and try again."
        )
    checkpoints = _read_checkpoints(given)
    delay = given.integer("CheckpointDelay", most=_LONGEST_WAIT_S)
    if delay is not None and not checkpoints:
        raise ValidationError(
            "If you specify a value for CheckpointDelay, you must also specify CheckpointPercentages."
        )
    warmup = given.integer("InstanceWarmup")
    return Preferences(
        min_healthy=_DEFAULT_MIN_HEALTHY if min_healthy is None else min_healthy,
        max_healthy=max_healthy,
        warmup=default_warmup if warmup is None else timedelta(seconds=warmup),
        checkpoints=checkpoints,
        checkpoint_delay=timedelta(seconds=_DEFAULT_CHECKPOINT_DELAY_S if delay is None else delay),
        bake=timedelta(seconds=given.integer("BakeTime", most=_LONGEST_WAIT_S) or 0),
        skip_matching=given.flag("SkipMatching") or False,
        auto_rollback=auto_rollback,
        scale_in_protected=given.one_of("ScaleInProtectedInstances", _PROTECTED) or "Wait",
        standby=given.one_of("StandbyInstances", _STANDBY) or "Wait",
        alarms=_read_alarms(given),
    )


def _read_checkpoints(given: Request) -> tuple[int, ...]:
    texts = given.texts("CheckpointPercentages")
    if not all(text.isdigit() and 1 <= int(text) <= 100 for text in texts):
        raise ValidationError("Each of CheckpointPercentages must be a whole number from 1 to 100.")
    percentages = tuple(int(text) for text in texts)
    if any(later <= earlier for earlier, later in itertools.pairwise(percentages)):
        raise ValidationError("CheckpointPercentages must be unique and in ascending order.")
    return percentages


def _read_alarms(given: Request) -> tuple[str, ...]:
    specification = given.structure("AlarmSpecification")
    alarms = specification.texts("Alarms") if specification is not None else ()
    if len(alarms) > _MOST_ALARMS:
        raise ValidationError(f"You can specify up to {_MOST_ALARMS} alarms; these are {len(alarms)}.")
    return alarms
