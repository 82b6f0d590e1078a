"""`sdfleet build-images`."""

from __future__ import annotations

import functools
import json
from datetime import UTC, datetime
from pathlib import Path

import click

from sdfleet.domain.release import VERSION, Release
from sdfleet_cli.console import HELP_NAMES, checkout_root, local_deployment, plain_errors
from sdfleet_cli.deployment.first_release import source_commit
from sdfleet_cli.deployment.new_release import ALL_RUNTIMES, NewRelease, plan_release
from sdfleet_cli.deployment.place import LOCAL, find_place
from sdfleet_cli.deployment.session import DeployOptions, Session
from sdfleet_cli.fleets import find_fleets
from sdfleet_local.bad_versions import Fault, plant
from sdfleet_local.snapshots import refusal, take_snapshot


@click.command("build-images", context_settings=HELP_NAMES)
@click.argument("deployment_id")
@click.argument("version")
@click.option("-R", "--region", metavar="REGION", help="AWS region.  [default: where it was deployed to from here]")
@click.option(
    "--config",
    "config_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Configuration file.  [default: config/config.yaml]",
)
@click.option(
    "--runtime",
    "with_runtimes",
    is_flag=False,
    flag_value=ALL_RUNTIMES,
    metavar="[NAME]",
    help="Build the runtimes' images too, or that of this runtime.  [default: they stay those of the present release]",
)
@click.option("--on-aws", "is_built_on_aws", is_flag=True, help="Build on the account (CodeBuild).")
@click.option("--base", "base_image", metavar="IMAGE", help="Build on this one.  [default: python, by its digest]")
@click.option(
    "--pip-config",
    type=click.Path(exists=True, dir_okay=False, resolve_path=True, path_type=Path),
    help="pip's settings while it builds here, such as an index of your own; they are not in the image.",
)
@click.option(
    "--bad",
    "fault",
    type=click.Choice([one.value for one in Fault]),
    help="With local: break this version on purpose, to practise a rollback with it.",
)
@click.option("-d", "--dry-run", is_flag=True, help="Say what would be built, and build nothing.")
def build_images(
    deployment_id: str,
    version: str,
    region: str | None,
    config_file: Path | None,
    with_runtimes: str | None,
    is_built_on_aws: bool,
    base_image: str | None,
    pip_config: Path | None,
    fault: str | None,
    dry_run: bool,
) -> None:
    """Build the container images of a new version, push them to ECR, and record the release.

    The fleets go on with the version that they have. A version that exists is refused: it never changes. Of the
    deployment `local` a version is a copy of the scheduler's source.
    """
    if VERSION.fullmatch(version) is None:
        raise click.UsageError("VERSION must be 1 to 64 letters, digits, dots, hyphens and underscores, such as 1.2.0")
    if is_built_on_aws and pip_config is not None:
        raise click.UsageError("--pip-config is for builds on this machine; leave it or --on-aws out")
    with plain_errors():
        if deployment_id == LOCAL:
            if is_built_on_aws or with_runtimes is not None or base_image is not None or pip_config is not None:
                raise click.UsageError(
                    "local has no container images; leave out --on-aws, --runtime, --base and --pip-config"
                )
            _snapshot(version, fault=None if fault is None else Fault(fault), dry_run=dry_run)
            return
        if fault is not None:
            raise click.UsageError(
                "--bad is for practising on this machine; no version that is broken on purpose goes to AWS"
            )
        place = find_place(deployment_id=deployment_id, region=region, config_file=config_file)
        session = Session(
            place.root, place.deployment_id, place.config_file, place.account, place.clients, place.journal,
            DeployOptions(is_built_on_aws=is_built_on_aws, base_image=base_image, pip_config=pip_config),
        )  # fmt: skip
        planned = plan_release(session, version, with_runtimes=with_runtimes)
        if dry_run:
            _describe(session, planned)
            return
        with session.journal.exclusively():
            for runtime in planned.make(session):
                click.echo(f"{runtime}: release {version} is recorded")
        click.echo(f"To move to it: scripts/deploy-new-version.sh {deployment_id} {version}")


def _describe(session: Session, planned: NewRelease) -> None:
    for one in planned.builds:
        click.echo(f"Would build {one.dockerfile} as {session.account.registry}/{one.repository}:{planned.version}")
    for runtime, image in planned.kept.items():
        click.echo(f"Would keep {image} for {runtime}")


def _snapshot(version: str, *, fault: Fault | None, dry_run: bool) -> None:
    """Raises:
    DeploymentRefused: the version exists.
    RefusedByState: local mode does not run.
    """
    directory = local_deployment().directory
    by, fleets = find_fleets(LOCAL, region=None, runtime=None)
    if any(fleet.releases.read(fleet.runtime, f"releases/{version}") is not None for fleet in fleets):
        raise refusal(version, LOCAL)
    note = "" if fault is None else f", broken on purpose ({fault})"
    if dry_run:
        click.echo(f"Would copy the scheduler's source to {directory.releases / version}{note}")
        return
    snapshot = (
        take_snapshot(checkout_root(), directory.releases, version)
        if fault is None
        else take_snapshot(checkout_root(), directory.releases, version, change=functools.partial(plant, fault=fault))
    )
    release = Release(
        version=version,
        created_at=datetime.now(UTC).replace(microsecond=0),
        created_by=by,
        scheduler_image=f"{snapshot}{note}",
        commit=source_commit(checkout_root()),
    )
    for fleet in fleets:
        fleet.releases.create(fleet.runtime, f"releases/{version}", json.dumps(release.to_json()))
        click.echo(f"{fleet.runtime}: release {version} is recorded{note}")
    click.echo(f"To move to it: scripts/deploy-new-version.sh {LOCAL} {version}")
