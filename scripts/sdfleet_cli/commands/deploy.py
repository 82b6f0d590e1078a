"""`sdfleet deploy`."""

from __future__ import annotations

from pathlib import Path

import click

from sdfleet.config import Config, load
from sdfleet.domain.names import RUNTIME_NAME
from sdfleet.domain.task import RuntimeType
from sdfleet_cli.aws_latency_option import ASSUMED, AwsLatencies
from sdfleet_cli.console import HELP_NAMES, checkout_root, local_deployment, plain_errors, table
from sdfleet_local.loopback import free_port
from sdfleet_local.outputs import curl_line
from sdfleet_local.plan import DEFAULT_PORT, LocalPlan
from sdfleet_local.planning import LocalOptions, plan_deployment

#: A process each; a machine that runs more of them has a GPU fleet of its own.
MAX_INSTANCES = 32


@click.command(context_settings=HELP_NAMES)
@click.option("--local", "is_local", is_flag=True, help="Deploy the whole service on this machine.")
@click.option(
    "--instances",
    type=click.IntRange(0, MAX_INSTANCES),
    default=1,
    show_default=True,
    help="Instances of each runtime's group; 0: it starts at zero and wakes with a task.",
)
@click.option(
    "--runtime-type",
    type=click.Choice([one.value for one in RuntimeType]),
    help="What makes the pictures.  [default: test_pattern]",
)
@click.option("--runtime-url", metavar="URL", help="Your own server, like http://127.0.0.1:8188.")
@click.option("--runtime-name", metavar="NAME", help="Name of the runtime.  [default: as in the configuration]")
@click.option(
    "--config",
    "config_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Configuration file.  [default: config/config.yaml]",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=DEFAULT_PORT,
    show_default=True,
    help="Port of the API; 0: any free one.",
)
@click.option(
    "--aws-latency-ms",
    type=AwsLatencies(),
    default="",
    help=f"Delay the calls at the embedded AWS endpoint, like {ASSUMED}.  [default: no delay]",
)
@click.option("--dry-run", is_flag=True, help="Say what would be started, and start nothing.")
def deploy(
    is_local: bool,
    instances: int,
    runtime_type: str | None,
    runtime_url: str | None,
    runtime_name: str | None,
    config_file: Path | None,
    port: int,
    aws_latency_ms: dict[str, float],
    dry_run: bool,
) -> None:
    """Deploy the service: on this machine with --local."""
    if not is_local:
        raise click.UsageError("this version deploys local mode only: ./deploy.sh --local")
    kind = None if runtime_type is None else RuntimeType(runtime_type)
    _check_together(kind, runtime_url, runtime_name)
    options = LocalOptions(instances, port or free_port(), kind, runtime_url, runtime_name, aws_latency_ms)
    with plain_errors():
        _deploy(options, config_file, is_dry=dry_run)


def _check_together(runtime_type: RuntimeType | None, runtime_url: str | None, runtime_name: str | None) -> None:
    needs_server = runtime_type not in (None, RuntimeType.TEST_PATTERN)
    if needs_server and runtime_url is None:
        raise click.UsageError(f"--runtime-type {runtime_type} needs --runtime-url, the address of your server")
    if runtime_url is not None and not needs_server:
        raise click.UsageError("--runtime-url needs --runtime-type: sdwebui, comfyui or custom")
    if runtime_name is not None and RUNTIME_NAME.fullmatch(runtime_name) is None:
        raise click.UsageError("--runtime-name must be 1 to 31 lower-case letters, digits and hyphens, a letter first")


def _deploy(options: LocalOptions, config_file: Path | None, *, is_dry: bool) -> None:
    deployment = local_deployment()
    with deployment.exclusively():
        if deployment.running() is not None:
            outputs = deployment.outputs()
            click.echo("Local mode is already running; ./destroy.sh --local stops it.\n")
            click.echo(table(list(outputs.items())))
            return
        planned = plan_deployment(_configuration(config_file), options)
        for note in planned.notes:
            click.echo(f"Note: {note}")
        if is_dry:
            click.echo(_intentions(planned.plan))
            return
        deployment.stop_remains()
        click.echo("Starting local mode:")
        outputs = deployment.start(planned.plan, lambda text: click.echo(f"  {text} ..."))
    _print_success(planned.plan, outputs)


def _configuration(file: Path | None) -> Config:
    default = checkout_root() / "config" / "config.yaml"
    if file is not None:
        return load(file)
    return load(default) if default.is_file() else Config()


def _intentions(plan: LocalPlan) -> str:
    lines = [f"Would start the API on http://127.0.0.1:{plan.port}/ (nothing was started)."]
    for runtime in plan.runtimes:
        server = f" at {runtime.url}" if runtime.url else ""
        model = f", model {runtime.model_filename}" if runtime.model_filename else ""
        count = plan.instances or "0 to 1"
        lines.append(f"  {runtime.name}: {count} instance(s) on {runtime.type}{server}{model}")
    return "\n".join(lines)


def _print_success(plan: LocalPlan, outputs: dict[str, str]) -> None:
    first = plan.runtimes[0]
    click.echo(f"Local mode is ready.\n\n{table(list(outputs.items()))}\n")
    click.echo(f"A first picture:\n\n{curl_line(outputs, first.name, is_workflow=first.type is RuntimeType.COMFYUI)}\n")
    click.echo("Instances: .venv/bin/sdfleet local instances    Logs: .venv/bin/sdfleet local logs")
    click.echo("Stop: ./destroy.sh --local")
