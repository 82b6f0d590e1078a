"""`sdfleet simulate million`: a million images on one instance type, with everything counted."""

from __future__ import annotations

import click

from sdfleet.config.prices import read_prices
from sdfleet.errors import ConfigError
from sdfleet_cli.console import HELP_NAMES, plain_errors, table
from sdfleet_sim.assumptions import Assumptions
from sdfleet_sim.billing import bill
from sdfleet_sim.cases import CASES
from sdfleet_sim.experiment import standard_config
from sdfleet_sim.instance import Purchase
from sdfleet_sim.ledger import Lived

_MILLION = 1_000_000
#: The EKS guidance's total for the same million (seed 001, Cost).
GUIDANCE_USD = 436.72
_MONTH_HOURS = 730.0


@click.command(context_settings=HELP_NAMES)
@click.option("--instance-type", default="g5.2xlarge", show_default=True)
@click.option(
    "--utilisation", type=click.FloatRange(0.01, 1.0), default=1.0, show_default=True, help="Share of paid time."
)
@click.option("--instances", type=click.IntRange(min=1), default=20, show_default=True, help="Each is started once.")
def million(instance_type: str, utilisation: float, instances: int) -> None:
    """A month with a million images at the EKS guidance's 1.5 s on a g5.2xlarge, or as long as they take elsewhere."""
    with plain_errors():
        assumed, prices = Assumptions.read(), read_prices()
        if instance_type not in assumed.machines:
            raise ConfigError(f"The assumptions know no {instance_type}; they have {', '.join(assumed.machines)}.")
        seconds = assumed.tasks["sdwebui"].seconds * assumed.machines[instance_type].pace
        hours = _MILLION * seconds / 3600 / utilisation
        each = hours * 3600 / instances
        due = bill(
            [Lived(instance_type, Purchase.SPOT.value, 0.0, each, each * utilisation)] * instances,
            images=_MILLION,
            fleet_hours=hours / instances,
            fixed_hours=_MONTH_HOURS,
            config=standard_config(CASES["batch"].volume),
            prices=prices,
        )
    rows = [
        ("WHAT", "USD"),
        *(
            (f"{item.service}: {item.unit}", f"{item.total_usd:.2f}")
            for item in (*due.compute, *due.services, *due.fixed)
            if item.total_usd >= 0.005
        ),
        ("instances", f"{due.compute_usd:.2f}"),
        ("images and hours use", f"{due.services_usd:.2f}"),
        ("instances, images and hours", f"{due.compute_usd + due.services_usd:.2f}"),
        ("stands there for a month anyway", f"{due.fixed_usd:.2f}"),
        ("all of it", f"{due.total_usd:.2f}"),
        ("EKS guidance", f"{GUIDANCE_USD:.2f}"),
    ]
    click.echo(f"{seconds:.2f} s an image on {instance_type}, {utilisation:.0%} busy, {hours:,.1f} hours:\n")
    click.echo(table(rows))
