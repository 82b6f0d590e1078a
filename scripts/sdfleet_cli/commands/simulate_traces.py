"""`sdfleet simulate traces`: what recorded Spot availability says of zones and regions."""

from __future__ import annotations

from pathlib import Path

import click

from sdfleet_cli.console import HELP_NAMES, plain_errors, table
from sdfleet_sim.spot_traces import Measured, by_region, load_traces, measure, measure_any


@click.command(context_settings=HELP_NAMES)
@click.argument("folder", type=click.Path(path_type=Path))
def traces(folder: Path) -> None:
    """Measure public Spot traces (skypilot-org/spot-traces): the figures under markets in the assumptions."""
    with plain_errors():
        found = load_traces(folder)
        rows: list[tuple[str, ...]] = [("ZONES", "AVAILABLE", "MEAN UP, H", "MEAN DOWN, H", "LONGEST DOWN, H")]
        rows += [_row(trace.zone, measure(trace.is_up, trace.gap_s)) for trace in found]
        rows += [
            _row(f"any of {len(members)} in {region}", measure_any(members))
            for region, members in by_region(found).items()
            if len(members) > 1
        ]
    click.echo(table(rows))


def _row(name: str, measured: Measured) -> tuple[str, ...]:
    return (
        name,
        f"{measured.availability:.4f}",
        f"{measured.mean_up_h:.2f}",
        f"{measured.mean_down_h:.2f}",
        f"{measured.longest_down_h:.1f}",
    )
