"""`sdfleet build-images`."""

from __future__ import annotations

import re
from pathlib import Path

import click

from sdfleet.aws.container_registry import ContainerRegistry
from sdfleet.errors import DeploymentRefused
from sdfleet_cli.console import HELP_NAMES, plain_errors
from sdfleet_cli.deployment.first_release import write_record
from sdfleet_cli.deployment.image_steps import build_images as build
from sdfleet_cli.deployment.image_steps import builds_of
from sdfleet_cli.deployment.place import find_place
from sdfleet_cli.deployment.session import DeployOptions, Session

#: What a container image's tag may be (OCI Distribution Specification, tags).
_VERSION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


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
@click.option("--on-aws", "is_built_on_aws", is_flag=True, help="Build on the account (CodeBuild).")
@click.option("-d", "--dry-run", is_flag=True, help="Say what would be built, and build nothing.")
def build_images(
    deployment_id: str,
    version: str,
    region: str | None,
    config_file: Path | None,
    is_built_on_aws: bool,
    dry_run: bool,
) -> None:
    """Build the container images of a new version, push them to ECR, and record the release.

    The fleets go on with the version that they have. A version that exists is refused: it never changes.
    """
    if _VERSION.fullmatch(version) is None:
        raise click.UsageError("VERSION must be 1 to 128 letters, digits, dots, hyphens and underscores, such as 1.2.0")
    with plain_errors():
        place = find_place(deployment_id=deployment_id, region=region, config_file=config_file)
        session = Session(
            place.root, place.deployment_id, place.config_file, place.account, place.clients, place.journal,
            DeployOptions(is_built_on_aws=is_built_on_aws),
        )  # fmt: skip
        builds = builds_of(session.deployment_id, session.config)
        registry = ContainerRegistry(session.clients.ecr)
        present = [one.repository for one in builds if registry.digest(one.repository, version) is not None]
        if builds and len(present) == len(builds):
            raise DeploymentRefused(
                f"{version} exists in {', '.join(present)} and never changes; choose another version."
            )
        if dry_run:
            for one in builds:
                click.echo(f"Would build {one.dockerfile} as {session.account.registry}/{one.repository}:{version}")
            return
        with session.journal.exclusively():
            build(session, version)
            for runtime in session.config.runtimes:
                write_record(session, runtime, version)
                click.echo(f"{runtime.name}: release {version} is recorded")
