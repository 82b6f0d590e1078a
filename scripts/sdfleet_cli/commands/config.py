"""`sdfleet config`: looks at a configuration, or makes one of another's."""

from __future__ import annotations

import json
from pathlib import Path

import click
import yaml

from sdfleet.config import Config, RuntimeConfig, load_for
from sdfleet.config.conversion import convert
from sdfleet.config.source import Source
from sdfleet_cli.console import HELP_NAMES, ExitStatus, plain_errors, table

_FILE = click.Path(path_type=Path)


@click.group("config", context_settings=HELP_NAMES)
def config_command() -> None:
    """Check a configuration, or convert one of the EKS guidance."""


@config_command.command("check", context_settings=HELP_NAMES)
@click.argument("file", type=_FILE, default=Path("config/config.yaml"))
@click.option("-R", "--region", help="Check also what cannot be had there.  [default: the file's own region]")
@click.option("--json", "is_json", is_flag=True, help="Print the whole configuration, defaults included, as JSON.")
def check(file: Path, region: str | None, is_json: bool) -> None:
    """Say everything that is wrong with FILE, each on its line; or what it comes to."""
    with plain_errors():
        config = load_for(file, region)
    if is_json:
        click.echo(config.model_dump_json(by_alias=True, indent=2))
        return
    click.echo(f"{file}: nothing is wrong. Deployment {config.stack_name}{_where(config)}.\n")
    click.echo(table([("RUNTIME", "TYPE", "MODEL", "INSTANCES", "ON-DEMAND", "TYPES"), *map(_row, config.runtimes)]))


@config_command.command("convert", context_settings=HELP_NAMES)
@click.argument("file", type=_FILE)
@click.option("-o", "--output", type=_FILE, help="Write it there; no file is overwritten.  [default: standard output]")
@click.option("--json", "is_json", is_flag=True, help="Print values, notes and problems as JSON; writes no file.")
def convert_command(file: Path, output: Path | None, is_json: bool) -> None:
    """Turn the EKS guidance's FILE into one of ours, and report what has no counterpart."""
    if is_json and output is not None:
        raise click.UsageError("--json writes no file; leave --output out")
    with plain_errors():
        source = Source.read(file)
        conversion = convert(source.values)
    notes = sorted((source.line(note.path), note.text) for note in (*source.problems, *conversion.notes))
    if is_json:
        document = {
            "config": conversion.values,
            "notes": [{"line": line, "text": text} for line, text in notes],
            "problems": [problem.text for problem in conversion.problems],
        }
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    text = (
        "# yaml-language-server: $schema=config.schema.json\n"
        f"# Converted from {file.name} of the EKS guidance. All keys: config.reference.yaml.\n\n"
        + yaml.safe_dump(conversion.values, sort_keys=False, allow_unicode=True)
    )
    if output is None:
        click.echo(text, nl=False)
    else:
        _write_new(output, text)
    for line, note in notes:
        click.echo(f"{file}:{line}: {note}.", err=True)
    for problem in conversion.problems:
        click.echo(f"To be mended in the new file: {problem.text}.", err=True)


def _write_new(path: Path, text: str) -> None:
    try:
        with path.open("x") as file:
            file.write(text)
    except FileExistsError:
        click.echo(f"Error: {path} is there already; name another file, or move it away.", err=True)
        raise click.exceptions.Exit(ExitStatus.REFUSED_BY_STATE) from None
    except OSError as error:
        click.echo(f"Error: {path} cannot be written: {error.strerror}; name another file.", err=True)
        raise click.exceptions.Exit(ExitStatus.FAILED) from None
    click.echo(f"Wrote {path}; check it with: sdfleet config check {path}", err=True)


def _where(config: Config) -> str:
    if config.region is None:
        return ""
    parts = ("" if config.has_api else ", without API", "" if config.has_cdn else ", without CDN")
    return f" in {config.region}{''.join(parts)}"


def _row(runtime: RuntimeConfig) -> tuple[str, ...]:
    fleet = runtime.fleet
    model = runtime.model_filename or ("any" if runtime.dynamic_model else "-")
    shares = f"{fleet.on_demand_base} + {fleet.on_demand_percentage} %"
    sizes = f"{fleet.min_size} to {fleet.max_size}"
    return runtime.name, runtime.type, model, sizes, shares, ", ".join(fleet.instance_types)
