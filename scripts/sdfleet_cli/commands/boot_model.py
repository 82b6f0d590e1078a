"""`sdfleet boot-model`: from a queued task to its first picture, on paper."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import click

from sdfleet.domain import boot_model as model
from sdfleet.domain.boot_model import MACHINES, SDXL_GB, Assumptions, Modelled
from sdfleet_cli.console import HELP_NAMES, table

_HEAD = ("PHASE", "MEDIAN", "P95", "HOLDS BACK", "GRADE", "SOURCE")


@click.command("boot-model", context_settings=HELP_NAMES)
@click.option(
    "--instance-type",
    "types",
    multiple=True,
    type=click.Choice(list(MACHINES)),
    help="May be given several times.  [default: all]",
)
@click.option(
    "--model-gb", type=click.FloatRange(min=0), default=SDXL_GB, show_default="6.94, SDXL", help="The static model."
)
@click.option(
    "--picture-seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=Assumptions().picture_s,
    show_default=True,
    help="Of the first picture on a g5.",
)
@click.option(
    "--initialization-rate",
    type=click.IntRange(0, 300),
    default=300,
    show_default=True,
    help="MiB a second at which a new volume is filled (fleet.volume.initializationRate); 0: as blocks are read.",
)
@click.option("--no-ami", "has_no_ami", is_flag=True, help="The container images are pulled at boot.")
@click.option(
    "--no-read-ahead", "reads_not_ahead", is_flag=True, help="What the runtime reads comes as it asks for it."
)
@click.option("--json", "is_json", is_flag=True, help="Print a JSON array.")
def boot_model(
    types: tuple[str, ...],
    model_gb: float,
    picture_seconds: float,
    initialization_rate: int,
    has_no_ami: bool,
    reads_not_ahead: bool,
    is_json: bool,
) -> None:
    """How long a fleet at zero takes to its first picture, by published figures: each phase with its source.

    What an account really takes, scripts/ec2-launch-benchmark.sh measures.
    """
    given = Assumptions(
        model_gb=model_gb,
        picture_s=picture_seconds,
        initialization_mib_s=float(initialization_rate) or None,
        has_ami=not has_no_ami,
        reads_ahead=not reads_not_ahead,
    )
    found = [model.modelled(MACHINES[name], given) for name in types or MACHINES]
    click.echo(json.dumps([_object(one) for one in found], indent=2) if is_json else "\n\n".join(map(_text, found)))


def _object(found: Modelled) -> dict[str, Any]:
    return {
        "instance_type": found.machine,
        "p50_s": round(found.p50_s, 1),
        "p95_s": round(found.p95_s, 1),
        "mean_s": round(found.mean_s, 1),
        "largest": list(found.largest()),
        "phases": [{**asdict(term), "held_back_s": round(found.held_back_s[term.name], 2)} for term in found.terms],
    }


def _text(found: Modelled) -> str:
    rows = [
        (
            term.name,
            f"{term.median_s:.1f}",
            f"{term.p95_s:.1f}",
            f"{found.held_back_s[term.name]:.1f}",
            term.grade.value,
            term.source,
        )
        for term in found.terms
        if term.median_s > 0
    ]
    return (
        f"{found.machine}: first picture after {found.p50_s:.0f} s (median), {found.p95_s:.0f} s (95th percentile); "
        f"the largest are {', '.join(found.largest())}\n\n{table([_HEAD, *rows])}"
    )
