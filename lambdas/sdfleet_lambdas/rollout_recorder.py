"""Keeps the record of rollouts true: at every event of an instance refresh, and every minute.

Events come twice, late, or not at all (EC2 Auto Scaling User Guide, "Instance refresh events"), so what they say is not
read: each is a nudge to look at every fleet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sdfleet.errors import SdfleetError
from sdfleet.telemetry import logs
from sdfleet_lambdas import rollout_services
from sdfleet_lambdas.rollouts import FleetRollouts

log = logs.get_logger(__name__)


def handler(event: Mapping[str, Any], _context: Any) -> dict[str, str]:
    """Lambda's entry point: a schedule and Auto Scaling's events."""
    return handle(event, rollout_services.all_rollouts())


def handle(_event: Mapping[str, Any], fleets: Sequence[FleetRollouts]) -> dict[str, str]:
    """The phase of each fleet's last rollout, by runtime; one fleet's trouble does not stop the others."""
    phases = {}
    for fleet in fleets:
        try:
            rollout = fleet.reconcile()
        except SdfleetError as error:
            log.warning("rollout.not_seen", runtime=fleet.runtime, reason=str(error))
            continue
        if rollout is not None:
            phases[fleet.runtime] = str(rollout.phase)
    return phases
