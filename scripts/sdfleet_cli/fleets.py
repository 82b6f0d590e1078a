"""The fleets of a deployment, as the commands on releases see them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from sdfleet.aws.account import identify
from sdfleet.aws.clients import Clients
from sdfleet.aws.container_registry import ContainerRegistry
from sdfleet.aws.operator_errors import explained
from sdfleet.domain import names
from sdfleet.domain.release import Release
from sdfleet.errors import DeploymentRefused
from sdfleet_cli.console import local_deployment
from sdfleet_cli.reach import reach
from sdfleet_lambdas.rollout_services import fleet_rollouts
from sdfleet_lambdas.rollouts import IMAGE_VERSION, FleetRollouts
from sdfleet_local.plan import DEPLOYMENT_ID as LOCAL_ID


def find_fleets(
    deployment_id: str, *, region: str | None, runtime: str | None
) -> tuple[str, tuple[FleetRollouts, ...]]:
    """Who is asking, and the fleet of `runtime`, or all.

    Raises:
        DeploymentRefused: the deployment has no fleet, or none that is called so.
    """
    reached = reach(deployment_id, region)
    runtimes = runtimes_of(reached.clients, reached.deployment_id)
    if not runtimes:
        raise DeploymentRefused(
            f"There is no deployment {deployment_id} here; scripts/list-deployments.sh lists those that there are."
        )
    if runtime is not None and runtime not in runtimes:
        raise DeploymentRefused(f"{deployment_id} has no runtime {runtime}; it has {', '.join(runtimes)}.")
    missing = _missing_snapshots if deployment_id == LOCAL_ID else partial(_missing_images, reached.clients)
    fleets = tuple(
        replace(
            fleet_rollouts(
                reached.clients,
                deployment_id=reached.deployment_id,
                table_name=names.table_name(reached.deployment_id),
                runtime=name,
            ),
            missing_images=missing,
        )
        for name in ([runtime] if runtime else runtimes)
    )
    return identify(reached.clients).caller_arn, fleets


def runtimes_of(clients: Clients, deployment_id: str) -> list[str]:
    """By their parameters, which every fleet has from its beginning."""
    path = names.deployment_parameters(deployment_id)
    with explained():
        pages = clients.ssm.get_paginator("get_parameters_by_path").paginate(Path=path, Recursive=True)
        found = [parameter["Name"].removeprefix(f"{path}/") for page in pages for parameter in page["Parameters"]]
    return sorted(name.removesuffix(f"/{IMAGE_VERSION}") for name in found if name.endswith(f"/{IMAGE_VERSION}"))


def _missing_images(clients: Clients, release: Release) -> list[str]:
    """A lifecycle policy of somebody's may have taken them out of the registry."""
    registry = ContainerRegistry(clients.ecr)
    images = (release.scheduler_image, release.runtime_image)
    return [image for image in images if image is not None and not registry.has(image)]


def _missing_snapshots(release: Release) -> list[str]:
    snapshot = local_deployment().directory.releases / release.version
    return [] if snapshot.is_dir() else [str(snapshot)]
