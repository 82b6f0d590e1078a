"""The plots of a report: queue, capacity, latency, cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sdfleet_sim.charts import Series, line_chart
from sdfleet_sim.outcome import Outcome


def plots(outcomes: Sequence[Outcome]) -> Mapping[str, str]:
    """SVG documents, by the name of their file."""
    return {"queue": _queue(outcomes), "capacity": _capacity(outcomes), "latency": _latency(outcomes),
            "cost": _cost(outcomes)}  # fmt: skip


def _queue(outcomes: Sequence[Outcome]) -> str:
    series = [
        Series(one.policy, tuple((sample.at / 3600, float(sample.visible)) for sample in one.samples))
        for one in outcomes
    ]
    return line_chart("Tasks that wait", "tasks", series)


def _capacity(outcomes: Sequence[Outcome]) -> str:
    series = []
    for index, one in enumerate(outcomes):
        asked = tuple((sample.at / 3600, float(sample.desired)) for sample in one.samples)
        there = tuple((sample.at / 3600, float(sample.in_service)) for sample in one.samples)
        series.append(Series(one.policy, there, is_stepped=True, colour_of=index))
        series.append(Series(f"{one.policy}, asked for", asked, is_stepped=True, is_dashed=True, colour_of=index))
    return line_chart("Instances in service (dashed: asked for)", "instances", series)


def _latency(outcomes: Sequence[Outcome]) -> str:
    series = []
    for index, one in enumerate(outcomes):
        middle = [((begin + end) / 7200, p50, p95) for begin, end, p50, p95 in one.waits]
        series.append(Series(one.policy, tuple((at, p50) for at, p50, _ in middle), colour_of=index))
        p95s = tuple((at, p95) for at, _, p95 in middle)
        series.append(Series(f"{one.policy}, p95", p95s, is_dashed=True, colour_of=index))
    return line_chart("Wait by the time of handing in: median (dashed: 95 %)", "seconds", series, is_logarithmic=True)


def _cost(outcomes: Sequence[Outcome]) -> str:
    series = [Series(one.policy, one.spent) for one in outcomes]
    return line_chart("Spent on instances", "USD", series)
