"""`sdfleet deploy`."""

from __future__ import annotations

from pathlib import Path

import click
from click.core import ParameterSource

from sdfleet.config import Config, load
from sdfleet.domain.names import RUNTIME_NAME
from sdfleet.domain.task import RuntimeType
from sdfleet_cli.aws_latency_option import ASSUMED, AwsLatencies
from sdfleet_cli.console import HELP_NAMES, checkout_root, local_deployment, plain_errors, table
from sdfleet_cli.deployment.account_deploy import DeployRequest, deploy_to_account, prepare
from sdfleet_cli.deployment.pipeline import STEP_NAMES
from sdfleet_cli.deployment.session import DeployOptions
from sdfleet_local.loopback import free_port
from sdfleet_local.outputs import curl_line
from sdfleet_local.plan import DEFAULT_PORT, LocalPlan
from sdfleet_local.planning import LocalOptions, plan_deployment

#: A process each; a machine that runs more of them has a GPU fleet of its own.
MAX_INSTANCES = 32


@click.command(context_settings=HELP_NAMES)
@click.argument("deployment_id", required=False)
@click.option("--local", "is_local", is_flag=True, help="Deploy the whole service on this machine.")
@click.option("-n", "--stack-name", metavar="NAME", help="The deployment's name.  [default: the configuration's]")
@click.option(
    "-R", "--region", metavar="REGION", help="AWS region.  [default: the configuration's, else the profile's]"
)
@click.option(
    "-d", "--dry-run", is_flag=True, help="Write configuration and template, or say what --local would start."
)
@click.option("-b", "--bucket", metavar="NAME", help="Existing model bucket in the region.  [default: a new one]")
@click.option("-s", "--snapshot", metavar="ID", help="EBS snapshot that each instance gets as a data volume.")
@click.option("-r", "--runtime-name", metavar="NAME", help="Name of the runtime.  [default: as in the configuration]")
@click.option(
    "-t",
    "--runtime-type",
    type=click.Choice([one.value for one in RuntimeType]),
    help="What makes the pictures.  [default: as in the configuration; with --local test_pattern]",
)
@click.option(
    "--config",
    "config_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Configuration file.  [default: config/config.yaml]",
)
@click.option(
    "--on-aws", "is_built_on_aws", is_flag=True, help="Build the container images on the account (CodeBuild)."
)
@click.option(
    "--base-model",
    metavar="URL|FILE",
    help="Where Stable Diffusion 1.5 comes from.  [default: Hugging Face or its mirror]",
)
@click.option("--no-base-model", is_flag=True, help="Fetch no base model.")
@click.option("--no-picture", is_flag=True, help="Do not ask for a first picture at the end: start no instance.")
@click.option(
    "--redo",
    multiple=True,
    type=click.Choice(STEP_NAMES),
    help="Do this step again although nothing has changed; may be given several times.",
)
@click.option(
    "--instances",
    type=click.IntRange(0, MAX_INSTANCES),
    default=1,
    show_default=True,
    help="With --local: instances of each runtime's group, fixed; 0: from zero to fleet.maxSize by its queue.",
)
@click.option(
    "--min-instances",
    type=click.IntRange(0, MAX_INSTANCES),
    help="With --local: the groups are not fixed but scale by their queues, from this to fleet.maxSize.",
)
@click.option(
    "--fast-scaler/--no-fast-scaler",
    "has_fast_scaler",
    default=None,
    help="With --local: decide within seconds, or by alarms alone.  [default: fleet.scaling.fastScaler]",
)
@click.option(
    "--scaling-minute",
    "scaling_minute_s",
    type=click.FloatRange(0.5, 60),
    metavar="SECONDS",
    default=LocalPlan.scaling_minute_s,
    show_default=True,
    help="With --local: what a minute of CloudWatch takes, and warm-up and idle time in proportion; 60: as on AWS.",
)
@click.option("--runtime-url", metavar="URL", help="With --local: your own server, like http://127.0.0.1:8188.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=DEFAULT_PORT,
    show_default=True,
    help="With --local: port of the API; 0: any free one.",
)
@click.option(
    "--aws-latency-ms",
    type=AwsLatencies(),
    default="",
    help=f"With --local: delay the calls at the embedded AWS endpoint, like {ASSUMED}.  [default: no delay]",
)
@click.pass_context
def deploy(
    context: click.Context,
    deployment_id: str | None,
    is_local: bool,
    stack_name: str | None,
    region: str | None,
    dry_run: bool,
    bucket: str | None,
    snapshot: str | None,
    runtime_name: str | None,
    runtime_type: str | None,
    config_file: Path | None,
    is_built_on_aws: bool,
    base_model: str | None,
    no_base_model: bool,
    no_picture: bool,
    redo: tuple[str, ...],
    instances: int,
    min_instances: int | None,
    has_fast_scaler: bool | None,
    runtime_url: str | None,
    port: int,
    aws_latency_ms: dict[str, float],
    scaling_minute_s: float,
) -> None:
    """Deploy the service: to an AWS account, or with --local on this machine.

    On an account it goes step by step and ends with a picture. A run that was interrupted or has failed goes on when it
    is started again; what is done and still true is skipped.
    """
    if runtime_name is not None and RUNTIME_NAME.fullmatch(runtime_name) is None:
        raise click.UsageError("--runtime-name must be 1 to 31 lower-case letters, digits and hyphens, a letter first")
    _check_place(context, is_local=is_local)
    if config_file is not None and not config_file.is_file() and (is_local or not dry_run):
        raise click.UsageError(f"{config_file} does not exist; -d writes a new one")
    if is_local:
        kind = None if runtime_type is None else RuntimeType(runtime_type)
        _check_together(kind, runtime_url)
        options = LocalOptions(
            instances,
            port or free_port(),
            kind,
            runtime_url,
            runtime_name,
            aws_latency_ms,
            scaling_minute_s,
            min_instances,
            has_fast_scaler,
        )
        with plain_errors():
            _deploy_here(options, config_file, is_dry=dry_run)
        return
    request = DeployRequest(
        argument=deployment_id,
        stack_name=stack_name,
        region=region,
        bucket=bucket,
        snapshot=snapshot,
        runtime_name=runtime_name,
        runtime_type=runtime_type,
        config_file=config_file,
        redo=frozenset(redo),
        options=DeployOptions(is_built_on_aws, base_model, not no_base_model, not no_picture),
    )
    with plain_errors():
        if dry_run:
            prepare(request)
        else:
            deploy_to_account(request)


_ONLY_HERE = (
    "instances", "min_instances", "has_fast_scaler", "scaling_minute_s", "runtime_url", "port", "aws_latency_ms",
)  # fmt: skip
_ONLY_ON_AN_ACCOUNT = (
    "deployment_id", "stack_name", "region", "bucket", "snapshot", "is_built_on_aws", "base_model", "no_base_model",
    "no_picture", "redo",
)  # fmt: skip


def _check_place(context: click.Context, *, is_local: bool) -> None:
    """Raises:
    click.UsageError: an option that means nothing where it is deployed to.
    """
    wrong = _ONLY_ON_AN_ACCOUNT if is_local else _ONLY_HERE
    for parameter in context.command.params:
        given = context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
        if parameter.name in wrong and given:
            name = parameter.human_readable_name if isinstance(parameter, click.Argument) else parameter.opts[-1]
            raise click.UsageError(f"{name} does not go with --local" if is_local else f"{name} needs --local")


def _check_together(runtime_type: RuntimeType | None, runtime_url: str | None) -> None:
    needs_server = runtime_type not in (None, RuntimeType.TEST_PATTERN)
    if needs_server and runtime_url is None:
        raise click.UsageError(f"--runtime-type {runtime_type} needs --runtime-url, the address of your server")
    if runtime_url is not None and not needs_server:
        raise click.UsageError("--runtime-url needs --runtime-type: sdwebui, comfyui or custom")


def _deploy_here(options: LocalOptions, config_file: Path | None, *, is_dry: bool) -> None:
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
        most = max(plan.instances, runtime.scaling.max_instances)
        count = f"{plan.min_instances or 0} to {most}" if plan.scales else plan.instances
        lines.append(f"  {runtime.name}: {count} instance(s) on {runtime.type}{server}{model}")
    return "\n".join(lines)


def _print_success(plan: LocalPlan, outputs: dict[str, str]) -> None:
    first = plan.runtimes[0]
    click.echo(f"Local mode is ready.\n\n{table(list(outputs.items()))}\n")
    click.echo(f"A first picture:\n\n{curl_line(outputs, first.name, is_workflow=first.type is RuntimeType.COMFYUI)}\n")
    click.echo("Instances: .venv/bin/sdfleet local instances    Logs: .venv/bin/sdfleet local logs")
    click.echo("Stop: ./destroy.sh --local")
