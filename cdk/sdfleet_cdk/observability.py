"""The dashboard: a row per question that a person on call has, for each fleet."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from sdfleet.config import Config, RuntimeConfig
from sdfleet.config.prices import read_prices
from sdfleet.domain import names
from sdfleet_cdk.metric_queries import Query, fleet_metric, group_metric, in_flight_messages, visible_messages
from sdfleet_cdk.metrics_agent import GPU_METRIC_PREFIX
from sdfleet_cdk.region import Region

_ROW_HEIGHT = 6
_COLUMNS = 24
_TASK_PERIOD_S = 300
#: Cost is told by the hour: prices are.
_COST_PERIOD_S = 3600


@dataclass(frozen=True)
class FleetPrice:
    """USD for an hour of a fleet's instances, and the list that says so."""

    spot: float
    on_demand: float
    as_of: str


@dataclass(frozen=True)
class Line:
    """One metric as it is drawn."""

    query: Query
    label: str
    #: Only an expression uses it.
    is_hidden: bool = False


@dataclass(frozen=True)
class Formula:
    """An expression over the widget's lines."""

    expression: str
    label: str


@dataclass(frozen=True)
class Widget:
    title: str
    lines: tuple[Line, ...]
    formulas: tuple[Formula, ...] = ()
    #: What the left axis counts.
    unit: str = ""
    is_stacked: bool = False


class Dashboard(Construct):
    """3 USD a month, whatever it shows: only where the configuration wants it."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        config: Config,
        region: Region,
        has_api: bool,
    ) -> None:
        super().__init__(scope, construct_id)
        deployment_id = config.stack_name
        rows: list[tuple[str, list[Widget]]] = [("The service", list(_service(config, has_api=has_api)))]
        for runtime in config.runtimes:
            fleet = names.fleet_name(deployment_id, runtime.name)
            rows.append((f"Fleet {runtime.name}", list(_fleet(fleet, fleet_price(runtime, region.name)))))
        cloudwatch.CfnDashboard(
            self, "Dashboard", dashboard_name=deployment_id, dashboard_body=json.dumps(_body(rows, region))
        )


def fleet_price(runtime: RuntimeConfig, region: str) -> FleetPrice | None:
    """The mean over the fleet's types, any of which it may get; None: nothing is known of them there."""
    prices = read_prices()
    known = [prices.instances[one] for one in runtime.fleet.instance_types if one in prices.instances]
    if region not in prices.regions or not known:
        return None
    return FleetPrice(
        spot=fmean(one.spot for one in known),
        on_demand=fmean(one.on_demand for one in known),
        as_of=prices.as_of,
    )


def _service(config: Config, *, has_api: bool) -> Iterable[Widget]:
    deployment = ((names.DEPLOYMENT_DIMENSION, config.stack_name),)
    letters = Query("letters", names.METRIC_NAMESPACE, names.DEAD_LETTERS, deployment, "Sum", _TASK_PERIOD_S)
    yield Widget("Dead letters", (Line(letters, "dead letters"),), unit="messages")
    submissions = names.submission_queue_name(config.stack_name)
    yield Widget("Submissions that wait", (Line(visible_messages(submissions), "messages"),), unit="messages")
    if not has_api:
        return
    stage = (("ApiName", config.stack_name), ("Stage", config.api_gateway.stage_name))
    yield Widget(
        "API: answers",
        tuple(
            Line(Query(query_id, "AWS/ApiGateway", metric, stage, "Sum", _TASK_PERIOD_S), label)
            for query_id, metric, label in (
                ("requests", "Count", "requests"),
                ("refused", "4XXError", "4xx"),
                ("errors", "5XXError", "5xx"),
            )
        ),
        unit="requests",
    )
    yield Widget(
        "API: seconds to the answer",
        tuple(
            Line(
                Query(f"latency{share}", "AWS/ApiGateway", "Latency", stage, f"p{share}", _TASK_PERIOD_S),
                f"p{share}, ms",
            )
            for share in (50, 99)
        ),
        unit="ms",
    )


def _fleet(fleet: str, price: FleetPrice | None) -> Iterable[Widget]:
    queue = (("QueueName", fleet),)
    yield Widget(
        "How long does work wait?",
        (Line(Query("age", "AWS/SQS", "ApproximateAgeOfOldestMessage", queue), "oldest message"),),
        unit="seconds",
    )
    yield Widget(
        "How much work is there?",
        (Line(visible_messages(fleet), "waiting"), Line(in_flight_messages(fleet), "in flight")),
        unit="messages",
        is_stacked=True,
    )
    spot, on_demand = (
        fleet_metric("spot", names.SPOT_INSTANCES, fleet),
        fleet_metric("ondemand", names.ON_DEMAND_INSTANCES, fleet),
    )
    yield Widget(
        "Which instances work?",
        (
            Line(spot, "Spot"),
            Line(on_demand, "On-Demand"),
            Line(group_metric("desired", "GroupDesiredCapacity", fleet), "wanted"),
            Line(group_metric("healthy", "GroupInServiceInstances", fleet), "in service"),
            Line(group_metric("pending", "GroupPendingInstances", fleet), "starting"),
        ),
        unit="instances",
    )
    yield Widget(
        "How do tasks end?",
        tuple(
            Line(fleet_metric(query_id, metric, fleet, period_s=_TASK_PERIOD_S), label)
            for query_id, metric, label in (
                ("succeeded", names.TASKS_SUCCEEDED, "succeeded"),
                ("failed", names.TASKS_FAILED, "failed"),
                ("cancelled", names.TASKS_CANCELLED, "cancelled"),
            )
        ),
        unit="tasks",
        is_stacked=True,
    )
    yield Widget(
        "Seconds in the queue and at the runtime",
        tuple(
            Line(
                fleet_metric(f"{query_id}{share}", metric, fleet, statistic=f"p{share}", period_s=_TASK_PERIOD_S),
                f"{label} p{share}",
            )
            for query_id, metric, label in (("queue", names.QUEUE_SECONDS, "queue"), ("run", names.RUN_SECONDS, "run"))
            for share in (50, 95, 99)
        ),
        unit="seconds",
    )
    yield Widget(
        "Are the GPUs busy?",
        tuple(
            Line(
                fleet_metric(statistic.lower(), f"{GPU_METRIC_PREFIX}utilization_gpu", fleet, statistic=statistic),
                label,
            )
            for statistic, label in (("Average", "mean"), ("Minimum", "the least busy"), ("Maximum", "the busiest"))
        ),
        unit="percent",
    )
    # An instance's own metrics need not be there: the worst of the fleet's says whether one is sick.
    yield Widget(
        "How is the instance that is worst off?",
        tuple(
            Line(fleet_metric(query_id, metric, fleet, statistic="Maximum"), label, is_hidden=query_id == "used")
            for query_id, metric, label in (
                ("heat", f"{GPU_METRIC_PREFIX}temperature_gpu", "hottest GPU, °C"),
                ("memory", "mem_used_percent", "fullest memory, %"),
                ("disk", "disk_used_percent", "fullest disk, %"),
                ("used", f"{GPU_METRIC_PREFIX}memory_used", "MB of GPU memory"),
            )
        ),
        (Formula("used / 1024", "most GPU memory, GiB"),),
        unit="percent, °C, GiB",
    )
    yield Widget(
        "Tasks that interruptions sent back",
        (Line(fleet_metric("interrupted", names.TASKS_INTERRUPTED, fleet, period_s=_TASK_PERIOD_S), "tasks"),),
        unit="tasks",
    )
    yield _cost(fleet, spot, on_demand, price)


def _cost(fleet: str, spot: Query, on_demand: Query, price: FleetPrice | None) -> Widget:
    succeeded = fleet_metric("succeeded", names.TASKS_SUCCEEDED, fleet)
    lines = tuple(
        Line(replace(query, period_s=_COST_PERIOD_S), query.id, is_hidden=True)
        for query in (spot, on_demand, succeeded)
    )
    # Each instance counts itself once a minute: sixty make an hour.
    spot_price, on_demand_price = (price.spot, price.on_demand) if price else (1, 1)
    hours = f"(FILL(spot, 0) * {spot_price:g} + FILL(ondemand, 0) * {on_demand_price:g}) / 60"
    what = "USD of instances" if price else "Hours of instances"
    source = f" (prices of {price.as_of})" if price else ""
    return Widget(
        f"{what} per thousand tasks{source}",
        lines,
        (Formula(f"IF(succeeded > 0, 1000 * {hours} / succeeded)", what),),
        unit="USD" if price else "hours",
    )


def _body(rows: Sequence[tuple[str, Sequence[Widget]]], region: Region) -> dict[str, Any]:
    placed: list[dict[str, Any]] = []
    y = 0
    for title, widgets in rows:
        placed.append(
            {"type": "text", "x": 0, "y": y, "width": _COLUMNS, "height": 1, "properties": {"markdown": f"## {title}"}}
        )
        y += 1
        width = _COLUMNS // min(4, len(widgets))
        across = _COLUMNS // width
        for index, widget in enumerate(widgets):
            placed.append(
                {
                    "type": "metric",
                    "x": index % across * width,
                    "y": y + index // across * _ROW_HEIGHT,
                    "width": width,
                    "height": _ROW_HEIGHT,
                    "properties": _properties(widget, region),
                }
            )
        y += -(-len(widgets) // across) * _ROW_HEIGHT
    return {"widgets": placed}


def _properties(widget: Widget, region: Region) -> dict[str, Any]:
    """Structure: CloudWatch API Reference, "Dashboard body structure and syntax"."""
    return {
        "title": widget.title,
        "view": "timeSeries",
        "stacked": widget.is_stacked,
        "region": region.name,
        "yAxis": {"left": {"min": 0, "label": widget.unit, "showUnits": False}},
        "metrics": [
            *(
                [{"expression": formula.expression, "label": formula.label, "id": f"formula{number}"}]
                for number, formula in enumerate(widget.formulas)
            ),
            *(_drawn(line) for line in widget.lines),
        ],
    }


def _drawn(line: Line) -> list[Any]:
    query = line.query
    options = {
        "id": query.id,
        "label": line.label,
        "stat": query.statistic,
        "period": query.period_s,
        "visible": not line.is_hidden,
    }
    return [query.namespace, query.metric, *(part for dimension in query.dimensions for part in dimension), options]
