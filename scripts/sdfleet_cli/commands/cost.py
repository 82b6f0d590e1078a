"""`sdfleet cost`: a month's bill for so many images, and for none, beside the EKS guidance's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from sdfleet.config import Config, load_for
from sdfleet.config.inventory import assumptions_of, inventory_of, machine_of
from sdfleet.config.prices import SHIPPED, PriceList, read_prices
from sdfleet.domain import cost as bill
from sdfleet.domain.cost import Item, total_usd
from sdfleet_cli.console import HELP_NAMES, plain_errors, table

_FILE = click.Path(path_type=Path)
_HEAD = ("SERVICE", "UNIT", "QUANTITY", "USD A UNIT", "USD", "EKS GUIDANCE, USD")


@click.command(context_settings=HELP_NAMES)
@click.option("--images", type=click.IntRange(min=1), default=1_000_000, show_default=True, help="A month.")
@click.option(
    "--seconds-per-image",
    type=click.FloatRange(min=0, min_open=True),
    default=1.5,
    show_default=True,
    help="What the GPU takes for one. The default is the EKS guidance's, on a g5.",
)
@click.option(
    "--instances",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="That work at once: so much sooner the fleet, its metrics and its scaler are done.",
)
@click.option("--config", "file", type=_FILE, help="The configuration to reckon with.  [default: the defaults]")
@click.option("-R", "--region", help="Whose prices.  [default: the file's region, else us-west-2]")
@click.option("--instance-type", help="What the images are made on.  [default: g5.2xlarge, as the EKS guidance has it]")
@click.option("--prices", "prices_file", type=_FILE, default=SHIPPED, show_default="the shipped list", help="Your own.")
@click.option("--json", "is_json", is_flag=True, help="Print one JSON object.")
def cost(
    images: int,
    seconds_per_image: float,
    instances: int,
    file: Path | None,
    region: str | None,
    instance_type: str | None,
    prices_file: Path,
    is_json: bool,
) -> None:
    """A month's bill for so many images, and for none, beside the EKS guidance's on the same assumptions."""
    with plain_errors():
        config = Config() if file is None else load_for(file, region)
        prices = read_prices(prices_file)
        region = region or config.region or "us-west-2"
        prices.require(region)
        document = _reckon(config, prices, images, seconds_per_image, instances, instance_type)
    document = {"region": region, "prices_as_of": prices.as_of, **document}
    click.echo(json.dumps(_plain(document), indent=2) if is_json else _text(document))


def _reckon(
    config: Config,
    prices: PriceList,
    images: int,
    seconds_per_image: float,
    instances: int,
    instance_type: str | None,
) -> dict[str, Any]:
    machine = machine_of(config, prices, instance_type)
    hours, assumed = bill.gpu_hours(images, seconds_per_image), assumptions_of(config)
    others = {
        name: hours * price.spot
        for name, price in prices.instances.items()
        if name in config.runtimes[0].fleet.instance_types and name != machine.instance_type
    }
    return {
        "images": images,
        "seconds_per_image": seconds_per_image,
        "requests": bill.request_items(images, hours, machine, prices.services, assumed, has_api=config.has_api),
        "instances": instances,
        "further": bill.further_items(images, hours, machine, prices.services, assumed, fleet_hours=hours / instances),
        "fixed": bill.fixed_items(inventory_of(config), machine, prices.services),
        "guidance_requests": bill.eks_guidance_request_items(images, seconds_per_image),
        "guidance_fixed": bill.eks_guidance_fixed_items(),
        "spot_on_other_types_usd": others,
    }


def _plain(document: dict[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for key, value in document.items():
        if isinstance(value, tuple):
            plain[key] = [_row(item) for item in value]
            plain[f"{key}_usd"] = round(total_usd(value), 2)
        elif isinstance(value, dict):
            plain[key] = {name: round(usd, 2) for name, usd in value.items()}
        else:
            plain[key] = value
    return plain


def _row(item: Item) -> dict[str, Any]:
    return {
        "service": item.service,
        "unit": item.unit,
        "quantity": item.quantity,
        "unit_price_usd": item.unit_price_usd,
        "total_usd": round(item.total_usd, 4),
    }


def _text(document: dict[str, Any]) -> str:
    requests, further, fixed = document["requests"], document["further"], document["fixed"]
    theirs, their_fixed = document["guidance_requests"], document["guidance_fixed"]
    same = total_usd(requests)
    others = "; ".join(f"{name} {usd:.2f}" for name, usd in document["spot_on_other_types_usd"].items())
    lines = [
        f"{document['images']:,} images a month at {document['seconds_per_image']:g} s each, on"
        f" {document['instances']} instances at once, {document['region']}, prices of {document['prices_as_of']},"
        " without free tiers:",
        "",
        table([_HEAD, *_cells(requests, theirs), _sum("Total, rows of the guidance's table", same, total_usd(theirs))]),
        "",
        "On the bill too; the guidance's table leaves its own out:",
        "",
        table([_HEAD, *_cells(further, ()), _sum("Total, with these", same + total_usd(further), None)]),
        "",
        "Whether or not anybody asks for an image, a month:",
        "",
        table(
            [
                _HEAD,
                *_cells(fixed, ()),
                *(
                    (item.service, f"{item.unit} (guidance)", _number(item.quantity), "", "", f"{item.total_usd:.2f}")
                    for item in their_fixed
                ),
                _sum("Total, fixed", total_usd(fixed), total_usd(their_fixed)),
            ]
        ),
        "",
        f"All of it: {same + total_usd(further) + total_usd(fixed):.2f} USD a month. The guidance, as far as its table"
        f" goes: {total_usd(theirs) + total_usd(their_fixed):.2f}.",
    ]
    if others:
        lines.append(f"EC2 on other types of the fleet, Spot, if they take as long: {others} USD.")
    lines.append("docs/operations/cost.md says what is assumed, and where the prices are from.")
    return "\n".join(lines)


def _cells(items: Sequence[Item], theirs: Sequence[Item]) -> list[tuple[str, ...]]:
    """`theirs`: row by row the same services, or none."""
    return [
        (
            item.service,
            item.unit,
            _number(item.quantity),
            f"{item.unit_price_usd:.10f}".rstrip("0").rstrip("."),
            f"{item.total_usd:.2f}",
            f"{theirs[index].total_usd:.2f}" if theirs else "",
        )
        for index, item in enumerate(items)
    ]


def _sum(label: str, ours: float, theirs: float | None) -> tuple[str, ...]:
    return label, "", "", "", f"{ours:.2f}", "" if theirs is None else f"{theirs:.2f}"


def _number(value: float) -> str:
    return f"{value:,.2f}".rstrip("0").rstrip(".")
