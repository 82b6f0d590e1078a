"""`sdfleet simulate study`: the tables of docs/scaling.md."""

from __future__ import annotations

from pathlib import Path

import click

from sdfleet.errors import ConfigError
from sdfleet_cli.console import HELP_NAMES, plain_errors
from sdfleet_sim.cases import CASES
from sdfleet_sim.study import markdown, rows


@click.command(context_settings=HELP_NAMES)
@click.option(
    "--case",
    "names",
    multiple=True,
    type=click.Choice(list(CASES)),
    help="May be given more than once.  [default: all]",
)
@click.option(
    "--seeds", type=click.IntRange(min=1, max=100), default=5, show_default=True, help="Medians over so many."
)
@click.option("--into", type=click.Path(path_type=Path, dir_okay=False), help="Put the tables into this document.")
def study(names: tuple[str, ...], seeds: int, into: Path | None) -> None:
    """Every policy on each case, as Markdown tables: medians over several seeds."""
    with plain_errors():
        for name in names or tuple(CASES):
            made = markdown(CASES[name], rows(CASES[name], range(1, seeds + 1)))
            click.echo(f"{made}\n")
            if into is not None:
                _replace(into, made)


def _replace(document: Path, made: str) -> None:
    """The table between the two marks of the same case."""
    try:
        text = document.read_text(encoding="utf-8")
        first, last = made.splitlines()[0], made.splitlines()[-1]
        if first not in text:
            raise ConfigError(f"{document}: there is no {first} in it, after which the table would stand.")
        before, _, rest = text.partition(first)
        document.write_text(before + made + rest.partition(last)[2], encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{document}: it cannot be changed: {error.strerror}.") from error
