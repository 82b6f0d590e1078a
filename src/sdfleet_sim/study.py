"""The study of docs/scaling.md: every policy on each case, as tables in Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sdfleet_sim.cases import CASES, Case
from sdfleet_sim.experiment import Experiment, standard_config
from sdfleet_sim.outcome import Outcome
from sdfleet_sim.scenario import Scenario

POLICIES = ("fast", "step", "keda-30s", "keda-1s", "gpu", "fixed")
_HEAD = (
    "Policy", "Queue p50, s", "p95, s", "Decision p95, s", "Instance hours", "of them On-Demand", "GPU idle, %",
    "Interruptions", "Redone, GPU s", "USD", "USD a million",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """Medians over the seeds."""

    policy: str
    queue_p50_s: float
    queue_p95_s: float
    #: None: nothing called for capacity.
    decision_p95_s: float | None
    hours: float
    on_demand_hours: float
    idle_share: float
    interruptions: float
    lost_gpu_s: float
    usd: float
    million_usd: float

    def cells(self) -> tuple[str, ...]:
        return (
            self.policy,
            f"{self.queue_p50_s:,.1f}",
            f"{self.queue_p95_s:,.1f}",
            "–" if self.decision_p95_s is None else f"{self.decision_p95_s:,.1f}",
            f"{self.hours:,.2f}",
            f"{self.on_demand_hours:,.2f}",
            f"{self.idle_share * 100:.0f}",
            f"{self.interruptions:g}",
            f"{self.lost_gpu_s:,.0f}",
            f"{self.usd:,.2f}",
            f"{self.million_usd:,.0f}",
        )


def experiment(case: Case, seed: int, *, is_fixed: bool = False) -> Experiment:
    plan = case.plan(is_fixed=is_fixed)
    return Experiment(Scenario(fleet=plan, seed=seed), case.trace(seed), config=standard_config(case.volume))


def rows(case: Case, seeds: Sequence[int], policies: Sequence[str] = POLICIES) -> tuple[Row, ...]:
    """One policy after the other, each on the same tasks, boots and Spot markets."""
    return tuple(
        _row(policy, [experiment(case, seed, is_fixed=policy == "fixed").under(policy) for seed in seeds])
        for policy in policies
    )


def markdown(case: Case, found: Sequence[Row]) -> str:
    lines = [f"| {' | '.join(_HEAD)} |", f"|{'|'.join(['---', *['---:'] * (len(_HEAD) - 1)])}|"]
    lines += [f"| {' | '.join(row.cells())} |" for row in found]
    return "\n".join([f"<!-- sdfleet simulate study --case {case.name} -->", *lines, "<!-- end -->"])


def case_of(name: str) -> Case:
    return CASES[name]


def _row(policy: str, outcomes: Sequence[Outcome]) -> Row:
    def middle(figure: Callable[[Outcome], float]) -> float:
        return statistics.median(figure(one) for one in outcomes)

    decided = [one.decision_s.p95 for one in outcomes if one.decision_s.count]
    return Row(
        policy=policy,
        queue_p50_s=middle(lambda one: one.queue_s.p50),
        queue_p95_s=middle(lambda one: one.queue_s.p95),
        decision_p95_s=statistics.median(decided) if decided else None,
        hours=middle(lambda one: one.spot_hours + one.on_demand_hours),
        on_demand_hours=middle(lambda one: one.on_demand_hours),
        idle_share=middle(lambda one: one.idle_share),
        interruptions=middle(lambda one: one.interruptions),
        lost_gpu_s=middle(lambda one: one.lost_gpu_s),
        usd=middle(lambda one: one.bill.total_usd),
        million_usd=middle(lambda one: one.bill.million_usd),
    )
