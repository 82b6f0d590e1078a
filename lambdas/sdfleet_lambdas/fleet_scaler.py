"""Turns queue depth into capacity within seconds: woken by a task, called every minute while there is work.

A minute is the least that a schedule can do, so an invocation stays for one and looks every few seconds. It ends as
soon as nothing happens that could not wait for the next one, and the last one switches the schedule off: an idle
deployment costs nothing. Looping by way of a queue or a topic would be stopped after sixteen rounds (Lambda Developer
Guide, "Recursive loop detection").
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sdfleet.domain.fleet_decision import LOOK_EVERY, REST_LOOK
from sdfleet.errors import SdfleetError
from sdfleet.telemetry import logs
from sdfleet_lambdas import scaler_services
from sdfleet_lambdas.scaled_fleets import Outcome, ScaledFleet
from sdfleet_lambdas.scaler_services import ScalerServices

log = logs.get_logger(__name__)

#: Beyond the minute in which the next invocation comes, and takes over.
STAY = timedelta(seconds=65)


def handler(event: Mapping[str, Any], _context: Any) -> dict[str, str]:
    """Lambda's entry point: a schedule, and the topic that wakes it."""
    return handle(event, scaler_services.scaler_services())


def handle(_event: Mapping[str, Any], services: ScalerServices) -> dict[str, str]:
    """How each fleet was left; what called does not matter, the fleets' records say whom."""
    clock = services.clock
    began = clock.now()
    holder = services.new_id()
    fleets = {fleet.runtime: fleet for fleet in services.fleets}
    due: dict[str, datetime] = dict.fromkeys(fleets, began)
    left: dict[str, str] = {}
    for fleet in services.fleets:
        _take(fleet, holder)
    is_first = True
    while due:
        for runtime in [runtime for runtime, at in due.items() if at <= clock.now()]:
            outcome = _look(fleets[runtime], holder)
            if outcome.is_taken or outcome.is_asleep:
                del due[runtime]
                left[runtime] = "taken" if outcome.is_taken else "asleep"
            else:
                due[runtime] = clock.now() + outcome.look_again
        if is_first and due:
            # After the first look: a fleet at zero has its instance before anything else is asked for.
            _switch(services, is_on=True)
            is_first = False
        if not due:
            break
        now, following = clock.now(), min(due.values())
        if following - now >= REST_LOOK - timedelta(seconds=1) or now - began >= STAY:
            break
        services.sleep(max(0.0, (following - now).total_seconds()))
    if services.fleets and all(how == "asleep" for how in left.values()) and not due:
        _fall_asleep(services)
    return {**dict.fromkeys(due, "awake"), **left}


def _take(fleet: ScaledFleet, holder: str) -> None:
    try:
        fleet.take(holder)
    except SdfleetError as error:
        log.warning("fleet.not_taken", runtime=fleet.runtime, reason=str(error))


def _look(fleet: ScaledFleet, holder: str) -> Outcome:
    try:
        return fleet.look(holder)
    except SdfleetError as error:
        log.warning("fleet.not_seen", runtime=fleet.runtime, reason=str(error))
    return Outcome(LOOK_EVERY)


def _switch(services: ScalerServices, *, is_on: bool) -> None:
    try:
        if is_on:
            services.schedule.switch_on()
        else:
            services.schedule.switch_off()
    except SdfleetError as error:
        # Off: the next minute's invocation tries again. On: it was on, or the alarms' policies do the rest.
        log.warning("schedule.not_switched", is_on=is_on, reason=str(error))


def _fall_asleep(services: ScalerServices) -> None:
    _switch(services, is_on=False)
    try:
        is_woken = any(not fleet.is_asleep() for fleet in services.fleets)
    except SdfleetError as error:
        log.warning("fleets.not_seen", reason=str(error))
        is_woken = True
    if is_woken:
        # Between the last look and the switch a task was handed in.
        _switch(services, is_on=True)
