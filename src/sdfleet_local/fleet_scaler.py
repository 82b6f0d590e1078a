"""The fast scaler's surroundings on one machine: its rule, what wakes it, and fleets whose minutes are short."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from sdfleet.aws.clients import Clients
from sdfleet.aws.scaler_schedule import EventBridgeSchedule
from sdfleet.domain import names
from sdfleet.errors import SdfleetError
from sdfleet.scaler_environment import FleetScalerEnvironment, ScaledFleetEnvironment
from sdfleet.telemetry import logs
from sdfleet_local.event_sources import Handler
from sdfleet_local.plan import DEPLOYMENT_ID, LocalPlan
from sdfleet_local.provisioning import Resources

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

log = logs.get_logger(__name__)

#: Of the cloud, in which the configuration counts.
_MINUTE_S = 60.0


def has_fast_scaler(plan: LocalPlan) -> bool:
    return plan.scales and any(runtime.scaling.has_fast_scaler for runtime in plan.runtimes)


def scaler_environment(plan: LocalPlan, resources: Resources) -> FleetScalerEnvironment:
    """The fleets that scale by it. Idle times are as much shorter as this machine's minute is; work takes as long."""
    pace = plan.scaling_minute_s / _MINUTE_S
    scaled = {runtime.name: runtime.scaling for runtime in plan.runtimes if plan.scales}
    return FleetScalerEnvironment(
        DEPLOYMENT_ID,
        resources.deployment.table_name,
        tuple(
            ScaledFleetEnvironment(
                runtime.name,
                runtime.queue_url,
                target_queue_s=planned.target_queue_s,
                idle_after_s=round(planned.idle_after_s * pace),
                surplus_after_s=round(planned.surplus_after_s * pace),
                most_boot_failures=planned.most_boot_failures,
                # There is no market here.
                fallback_after_s=None,
            )
            for runtime in resources.deployment.runtimes
            if (planned := scaled.get(runtime.name)) is not None and planned.has_fast_scaler
        ),
    )


def create_rule(clients: Clients) -> None:
    """The schedule, switched off, as the template makes it."""
    clients.events.put_rule(
        Name=names.scaler_schedule_name(DEPLOYMENT_ID), ScheduleExpression="rate(1 minute)", State="DISABLED"
    )


def in_background(handler: Handler) -> Handler:
    """As Lambda takes an event from a topic or a rule: whoever sent it does not wait, and one more may come."""

    def start(event: dict[str, Any], context: Any) -> None:
        threading.Thread(target=_run, args=(handler, event, context), name="fleet-scaler", daemon=True).start()

    return start


def while_on(handler: Handler, client: EventBridgeClient) -> Handler:
    """The embedded endpoint keeps the rule, and never fires."""
    schedule = EventBridgeSchedule(client, names.scaler_schedule_name(DEPLOYMENT_ID))

    def fire(event: dict[str, Any], context: Any) -> None:
        try:
            is_on = schedule.is_on
        except SdfleetError as error:
            log.warning("rule.unknown", reason=str(error))
            return
        if is_on:
            handler(event, context)

    return fire


def _run(handler: Handler, event: dict[str, Any], context: Any) -> None:
    try:
        handler(event, context)
    except Exception:  # the supervisor of the handlers
        log.exception("handler.failed", function="fleet-scaler")
