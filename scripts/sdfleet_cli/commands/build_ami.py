"""`sdfleet build-ami`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import click

from sdfleet.aws.image_builder import AmiPipelines
from sdfleet.domain import names
from sdfleet.domain.release import VERSION, Release
from sdfleet.errors import DeploymentRefused
from sdfleet_cli.console import HELP_NAMES, plain_errors
from sdfleet_cli.deployment.place import LOCAL
from sdfleet_cli.fleets import find_fleets
from sdfleet_cli.reach import reach
from sdfleet_lambdas.rollouts import FleetRollouts


@dataclass(frozen=True)
class Wanted:
    """One fleet's new AMI."""

    fleet: FleetRollouts
    pipeline_arn: str
    #: Whose container images it brings.
    basis: Release


@click.command("build-ami", context_settings=HELP_NAMES)
@click.argument("deployment_id")
@click.option("-R", "--region", metavar="REGION", help="AWS region.  [default: where it was deployed to from here]")
@click.option("--runtime", help="The AMI of this fleet only.  [default: of all fleets]")
@click.option("--of", "basis", metavar="VERSION", help="Bring this release's images.  [default: the present one's]")
@click.option("--version", metavar="VERSION", help="The new release.  [default: the other's name and the day's date]")
@click.option("-d", "--dry-run", is_flag=True, help="Say what would be built, and build nothing.")
def build_ami(
    deployment_id: str, region: str | None, runtime: str | None, basis: str | None, version: str | None, dry_run: bool
) -> None:
    """Build AMIs that have a release's container images in them, and record a release with them.

    Interrupted, the builds go on, but their AMIs are in no release. The fleets go on with what they have. Needs
    imagePipeline.enabled.
    """
    if deployment_id == LOCAL:
        raise click.UsageError("local has no machines and no AMI")
    if version is not None and VERSION.fullmatch(version) is None:
        raise click.UsageError("VERSION must be 1 to 64 letters, digits, dots, hyphens and underscores, such as 1.2.0")
    with plain_errors():
        reached = reach(deployment_id, region)
        by, fleets = find_fleets(deployment_id, region=region, runtime=runtime)
        pipelines = AmiPipelines(reached.clients.imagebuilder, pause=time.sleep)
        wanted = [_wanted(pipelines, deployment_id, fleet, basis) for fleet in fleets]
        new_versions = [version or f"{one.basis.version}-ami{datetime.now(UTC):%Y%m%d}" for one in wanted]
        for one, new_version in zip(wanted, new_versions, strict=True):
            _refuse_existing(one.fleet, new_version)
            click.echo(f"{one.fleet.runtime}: an AMI with the images of {one.basis.version} becomes {new_version}")
        if dry_run:
            return
        # All at once: each takes its hour.
        started = []
        for one in wanted:
            one.fleet.releases.write(one.fleet.runtime, names.BAKED_IMAGES, _list_of_images(one.basis))
            started.append(pipelines.start(one.pipeline_arn).arn)
            click.echo(f"{one.fleet.runtime}: {started[-1]}")
        for one, new_version, arn in zip(wanted, new_versions, started, strict=True):
            ami_id = pipelines.follow(arn, on_status=_teller(one.fleet.runtime))
            _record(one, new_version, ami_id, by=by)
        for new_version in dict.fromkeys(new_versions):
            click.echo(f"To move to it: scripts/deploy-new-version.sh {deployment_id} {new_version}")


def _wanted(pipelines: AmiPipelines, deployment_id: str, fleet: FleetRollouts, basis: str | None) -> Wanted:
    """Raises:
    DeploymentRefused: no pipeline, or no release to take the images of.
    """
    version = basis or fleet.current_version()
    if version is None:
        raise DeploymentRefused(f"{fleet.runtime} has no release yet; name one with --of.")
    pipeline_arn = pipelines.find(names.ami_pipeline_name(deployment_id, fleet.runtime))
    if pipeline_arn is None:
        raise DeploymentRefused(
            f"{fleet.runtime} has no pipeline; set imagePipeline.enabled in the configuration and run deploy.sh."
        )
    return Wanted(fleet, pipeline_arn, fleet.release(version))


def _refuse_existing(fleet: FleetRollouts, version: str) -> None:
    if fleet.releases.read(fleet.runtime, f"releases/{version}") is not None:
        raise DeploymentRefused(
            f"{version} of {fleet.runtime} exists and never changes; choose another with --version."
        )


def _list_of_images(release: Release) -> str:
    """One a line, the scheduler's first: the tests of the AMI take them so."""
    return "\n".join(filter(None, (release.scheduler_image, release.runtime_image)))


def _teller(runtime: str) -> Callable[[str], None]:
    return lambda status: click.echo(f"{runtime}: {status}")


def _record(wanted: Wanted, version: str, ami_id: str, *, by: str) -> None:
    """Raises:
    DeploymentRefused: somebody has recorded the version meanwhile.
    """
    runtime = wanted.fleet.runtime
    release = replace(
        wanted.basis,
        version=version,
        ami_id=ami_id,
        created_at=datetime.now(UTC).replace(microsecond=0),
        created_by=by,
    )
    if not wanted.fleet.releases.create(runtime, f"releases/{version}", json.dumps(release.to_json())):
        raise DeploymentRefused(f"{version} of {runtime} was recorded meanwhile; {ami_id} is in no release.")
    click.echo(f"{runtime}: {ami_id} is in the release {version}")
