"""What a run shows: waiting, decisions, losses, hours and money; and the same as one JSON document."""

from __future__ import annotations

import itertools
import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sdfleet_sim.arrivals import Trace
from sdfleet_sim.billing import Bill
from sdfleet_sim.ledger import Ledger, Sample
from sdfleet_sim.scenario import Scenario


@dataclass(frozen=True)
class Percentiles:
    """Seconds. Nearest rank: the smallest value that so many percent do not exceed."""

    count: int
    mean: float
    p50: float
    p90: float
    p95: float
    p99: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Percentiles:
        if not values:
            return cls(0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
        ordered = sorted(values)
        p50, p90, p95, p99 = (ordered[rank(len(ordered), percent)] for percent in (50, 90, 95, 99))
        return cls(len(ordered), math.fsum(ordered) / len(ordered), p50, p90, p95, p99, ordered[-1])


def rank(count: int, percent: int) -> int:
    """Index of a percentile in `count` ordered values."""
    return max(0, -(-count * percent // 100) - 1)


@dataclass(frozen=True)
class Outcome:
    policy: str
    trace: str
    seed: int
    tasks: int
    done: int
    #: From accepted until the run that ended well began.
    queue_s: Percentiles
    #: From accepted until more capacity was asked for, of the tasks that called for it.
    decision_s: Percentiles
    interruptions: int
    redone: int
    lost_gpu_s: float
    spot_hours: float
    on_demand_hours: float
    launches: int
    most_instances: int
    #: Of what was paid.
    idle_share: float
    #: When the last task had been done and the fleet had gone to its least size, hours.
    ended_h: float
    bill: Bill
    samples: tuple[Sample, ...]
    #: Hours, and USD spent on instances up to then.
    spent: tuple[tuple[float, float], ...]
    #: Of the run's parts: from, until, median wait, 95th percentile.
    waits: tuple[tuple[float, float, float, float], ...]


def outcome(policy: str, scenario: Scenario, trace: Trace, ledger: Ledger, bill: Bill, *, boot_s: float) -> Outcome:
    billed_s = math.fsum(one.billed_s for one in ledger.lived)
    busy_s = math.fsum(one.busy_s for one in ledger.lived)
    return Outcome(
        policy=policy,
        trace=trace.name,
        seed=scenario.seed,
        tasks=len(trace),
        done=ledger.done,
        queue_s=Percentiles.of(waits_of(trace, ledger)),
        decision_s=Percentiles.of(decision_latencies(trace, ledger, scenario, boot_s=boot_s)),
        interruptions=ledger.interruptions,
        redone=ledger.redone,
        lost_gpu_s=ledger.lost_s,
        spot_hours=math.fsum(one.billed_s for one in ledger.lived if one.purchase == "spot") / 3600,
        on_demand_hours=math.fsum(one.billed_s for one in ledger.lived if one.purchase != "spot") / 3600,
        launches=len(ledger.lived),
        most_instances=max(capacity for _, capacity in ledger.capacities),
        idle_share=1 - busy_s / billed_s if billed_s else 0.0,
        ended_h=ledger.ended_at / 3600,
        bill=bill,
        samples=tuple(ledger.samples),
        spent=_spent(ledger, bill),
        waits=_waits_over_time(trace, ledger),
    )


def waits_of(trace: Trace, ledger: Ledger) -> list[float]:
    return [began - at for began, at in zip(ledger.began, trace.accepted, strict=True) if began >= 0]


def decision_latencies(trace: Trace, ledger: Ledger, scenario: Scenario, *, boot_s: float) -> list[float]:
    """Of each task that calls for capacity: seconds until more is asked for.

    A task calls for it when the group is below its greatest size, and what has been asked for already, booted or not,
    would reach the task later than a new instance could. One that is served before anything more is asked for counts
    with the time that it waited.
    """
    times = [at for at, _ in ledger.capacities]
    sizes = [size for _, size in ledger.capacities]
    raises = array("d", (at for (at, size), (_, before) in zip(ledger.capacities[1:], ledger.capacities, strict=False)
                         if size > before))  # fmt: skip
    begun = array("d", sorted(at for at in ledger.began if at >= 0))
    task_s = ledger.busy_s / ledger.done if ledger.done else 0.0
    greatest = scenario.fleet.limits.greatest
    found = []
    begun_index = size_index = 0
    for index, at in enumerate(trace.accepted):
        while size_index + 1 < len(times) and times[size_index + 1] < at:
            size_index += 1
        size = sizes[size_index]
        if size >= greatest:
            continue
        begun_index = bisect_right(begun, at, begun_index)
        ahead = index - begun_index
        if size and ahead * task_s / size <= boot_s:
            continue
        next_raise = bisect_left(raises, at)
        waited = ledger.began[index] - at if ledger.began[index] >= 0 else ledger.ended_at - at
        found.append(min(waited, raises[next_raise] - at) if next_raise < len(raises) else waited)
    return found


def _spent(ledger: Ledger, bill: Bill) -> tuple[tuple[float, float], ...]:
    """At each sample. An hour of the fleet at one time costs what it costs in the mean."""
    billed_s = math.fsum(one.billed_s for one in ledger.lived)
    rate = bill.compute_usd / billed_s if billed_s else 0.0
    begins = sorted(one.billed_from for one in ledger.lived)
    ends = sorted(one.billed_from + one.billed_s for one in ledger.lived)
    found, begun, ended, paid_s, before = [], 0, 0, 0.0, 0.0
    for sample in ledger.samples:
        edges = []
        while begun < len(begins) and begins[begun] <= sample.at:
            edges.append((begins[begun], 1))
            begun += 1
        while ended < len(ends) and ends[ended] <= sample.at:
            edges.append((ends[ended], -1))
            ended += 1
        running = begun - ended - sum(change for _, change in edges)
        for at, change in sorted(edges):
            paid_s += running * (at - before)
            running, before = running + change, at
        paid_s += running * (sample.at - before)
        before = sample.at
        found.append((sample.at / 3600, paid_s * rate))
    return tuple(found)


def _waits_over_time(trace: Trace, ledger: Ledger, parts: int = 120) -> tuple[tuple[float, float, float, float], ...]:
    if not len(trace):
        return ()
    width = max(1.0, (trace.accepted[-1] + 1e-9) / parts)
    pairs = zip(trace.accepted, ledger.began, strict=True)
    found = []
    for part, group in itertools.groupby(pairs, key=lambda pair: int(pair[0] / width)):
        waits = sorted(began - at for at, began in group if began >= 0)
        if waits:
            p50, p95 = (waits[rank(len(waits), percent)] for percent in (50, 95))
            found.append((part * width, (part + 1) * width, p50, p95))
    return tuple(found)


def as_document(outcome: Outcome) -> dict[str, Any]:
    """For JSON: the same run gives the same bytes."""
    bill = outcome.bill
    document = asdict(outcome)
    document["bill"] = {
        "compute_usd": bill.compute_usd,
        "services_usd": bill.services_usd,
        "fixed_usd": bill.fixed_usd,
        "total_usd": bill.total_usd,
        "million_images_usd": bill.million_usd,
        "items": [
            {"part": part, "service": item.service, "unit": item.unit, "quantity": item.quantity,
             "unit_price_usd": item.unit_price_usd, "total_usd": item.total_usd}
            for part, items in (("compute", bill.compute), ("services", bill.services), ("fixed", bill.fixed))
            for item in items
        ],
    }  # fmt: skip
    rounded: dict[str, Any] = _rounded(document)
    return rounded


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(one) for one in value]
    return value
