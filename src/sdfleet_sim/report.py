"""One HTML file that needs nothing beside it: figures, plots, the bill, what it depends on and what was assumed."""

from __future__ import annotations

import html
from collections.abc import Sequence

from sdfleet_sim.assumptions import Figure
from sdfleet_sim.outcome import Outcome
from sdfleet_sim.plots import plots
from sdfleet_sim.sensitivity import Move, Point

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 960px; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: .2rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: 13px; width: 100%; }
th, td { padding: .3rem .55rem; border-bottom: 1px solid #ddd; text-align: right; vertical-align: top; }
th:first-child, td:first-child, td.text, th.text { text-align: left; } thead th { border-bottom: 2px solid #888; }
figure { margin: 1rem 0; } svg { width: 100%; height: auto; border: 1px solid #ddd; } code { font-size: 13px; }
p.note { color: #555; font-size: 13px; }
"""

SUMMARY_HEAD = (
    "policy", "queue p50, s", "p95, s", "most, s", "decision p95, s", "interruptions", "redone, GPU s", "Spot h",
    "On-Demand h", "GPU idle, %", "USD", "USD a million",
)  # fmt: skip


def summary_rows(outcomes: Sequence[Outcome]) -> list[tuple[str, ...]]:
    return [
        (
            one.policy,
            f"{one.queue_s.p50:,.1f}",
            f"{one.queue_s.p95:,.1f}",
            f"{one.queue_s.most:,.1f}",
            f"{one.decision_s.p95:,.1f}" if one.decision_s.count else "–",
            str(one.interruptions),
            f"{one.lost_gpu_s:,.0f}",
            f"{one.spot_hours:,.2f}",
            f"{one.on_demand_hours:,.2f}",
            f"{one.idle_share * 100:.0f}",
            f"{one.bill.total_usd:,.2f}",
            f"{one.bill.million_usd:,.2f}",
        )
        for one in outcomes
    ]


def html_report(
    outcomes: Sequence[Outcome],
    *,
    command: str,
    meaning: str,
    base: Point | None,
    moves: Sequence[Move],
    figures: Sequence[Figure],
) -> str:
    """`base`, `moves`: of the first outcome; None where they were not asked for."""
    first = outcomes[0]
    drawn = plots(outcomes)
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
        '<link rel="icon" href="data:,">',
        f"<title>sdfleet simulate: {_text(first.trace)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{_text(meaning[:1].upper() + meaning[1:])}</h1>",
        f'<p class="note"><code>{_text(command)}</code>; {first.tasks:,} tasks, seed {first.seed}. The same command'
        " gives the same figures.</p>",
        "<h2>What came out</h2>",
        _table(SUMMARY_HEAD, summary_rows(outcomes)),
        '<p class="note">Queue: from accepted until the run that ended well began. Decision: from accepted until more'
        " capacity was asked for, of tasks that called for it. USD: instances, and everything that tasks and instances"
        " use, and the standing costs for the time.</p>",
        *(f"<figure>{drawn[name]}</figure>" for name in ("queue", "capacity", "latency", "cost")),
        "<h2>The bill</h2>",
        *(_bill(one) for one in outcomes),
    ]
    if base is not None:
        parts += [
            f"<h2>When an assumption is off by a third ({_text(first.policy)})</h2>",
            f'<p class="note">As assumed: 95 % wait at most {base.queue_p95_s:,.1f} s; instances and services cost'
            f" {base.usd:,.2f} USD. What moves most comes first; all others hold.</p>",
            _table(
                ("assumption", "p95 a third less, s", "a third more, s", "USD a third less", "a third more"),
                [
                    (
                        move.name,
                        f"{move.down.queue_p95_s:,.1f}",
                        f"{move.up.queue_p95_s:,.1f}",
                        f"{move.down.usd:,.2f}",
                        f"{move.up.usd:,.2f}",
                    )
                    for move in moves
                ],
            ),
        ]
    parts += [
        "<h2>What was assumed</h2>",
        _table(
            ("figure", "value", "known by", "source"),
            [
                (
                    figure.name,
                    ", ".join(
                        f"{name} {value:g}" if name != "value" else f"{value:g}" for name, value in figure.values
                    ),
                    figure.origin,
                    figure.source,
                )
                for figure in figures
            ],
            text_from=2,
        ),
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def _bill(one: Outcome) -> str:
    rows = [
        (f"{item.service}: {item.unit}", f"{item.quantity:,.2f}", f"{item.unit_price_usd:g}", f"{item.total_usd:,.3f}")
        for items in (one.bill.compute, one.bill.services, one.bill.fixed)
        for item in items
        if item.total_usd >= 0.0005
    ]
    rows.append(("in all", "", "", f"{one.bill.total_usd:,.3f}"))
    return (
        f"<details><summary>{_text(one.policy)}: {one.bill.total_usd:,.2f} USD</summary>"
        f"{_table(('what', 'quantity', 'USD a unit', 'USD'), rows)}</details>"
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], *, text_from: int = 99) -> str:
    def cells(row: Sequence[str], tag: str) -> str:
        return "".join(
            f'<{tag} class="text">{_text(cell)}</{tag}>' if index >= text_from else f"<{tag}>{_text(cell)}</{tag}>"
            for index, cell in enumerate(row)
        )

    body = "\n".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{cells(head, "th")}</tr></thead><tbody>{body}</tbody></table></div>'


def _text(value: str) -> str:
    return html.escape(value)
