"""No stack is changed while a release is on its way: both would have the group's launch template."""

from __future__ import annotations

from sdfleet.aws.clients import Clients
from sdfleet.aws.release_store import SsmReleaseStore
from sdfleet.domain.rollout import UNDER_WAY
from sdfleet.errors import DeploymentRefused
from sdfleet_cli.fleets import runtimes_of


def refuse_during_rollout(clients: Clients, deployment_id: str) -> None:
    """Raises:
    DeploymentRefused: a rollout is under way.
    """
    store = SsmReleaseStore(clients.ssm, deployment_id)
    for runtime in runtimes_of(clients, deployment_id):
        status = store.read(runtime, "deployment-status")
        if status in UNDER_WAY:
            raise DeploymentRefused(
                f"A rollout of {runtime} is {status}; nothing is deployed meanwhile. See "
                f"scripts/check-deployment-status.sh {deployment_id}; wait for its end, or turn it back with "
                f"scripts/rollback.sh {deployment_id}."
            )
