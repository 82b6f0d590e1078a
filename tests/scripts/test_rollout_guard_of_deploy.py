"""`deploy.sh` leaves a fleet alone whose release is on its way."""

from __future__ import annotations

import pytest

from sdfleet.aws.clients import Clients
from sdfleet.errors import DeploymentRefused
from sdfleet.memory.release_store import MemoryReleaseStore
from sdfleet_cli.deployment import rollout_guard


@pytest.fixture
def clients() -> Clients:
    """Nobody is called with them."""
    return Clients(region="us-east-1", has_credentials=False)


@pytest.fixture
def releases(monkeypatch: pytest.MonkeyPatch) -> MemoryReleaseStore:
    """Of two fleets, both at rest."""
    store = MemoryReleaseStore()
    for runtime in ("sd", "comfy"):
        store.write(runtime, "deployment-status", "stable")
    monkeypatch.setattr(rollout_guard, "SsmReleaseStore", lambda _ssm, _deployment: store)
    monkeypatch.setattr(rollout_guard, "runtimes_of", lambda _clients, _deployment: ("sd", "comfy"))
    return store


@pytest.mark.parametrize("status", ["in-progress", "rolling-back"])
def test_a_deployment_is_refused_while_any_fleet_has_a_rollout(
    clients: Clients, releases: MemoryReleaseStore, status: str
) -> None:
    releases.write("comfy", "deployment-status", status)

    with pytest.raises(DeploymentRefused, match=f"A rollout of comfy is {status}; nothing is deployed meanwhile"):
        rollout_guard.refuse_during_rollout(clients, "sdfleet")


@pytest.mark.parametrize("status", ["stable", "failed"])
def test_a_fleet_at_rest_is_deployed_even_if_its_last_rollout_failed(
    clients: Clients, releases: MemoryReleaseStore, status: str
) -> None:
    releases.write("sd", "deployment-status", status)

    rollout_guard.refuse_during_rollout(clients, "sdfleet")
