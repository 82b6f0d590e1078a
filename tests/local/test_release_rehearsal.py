"""docs/operations/releases.md in a minute, on three instances; scripts/rehearse-releases.sh does all of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from running_service import RunningService, eventually
from sdfleet_cli.rehearsal.account import close_account
from sdfleet_cli.rehearsal.report import play_all
from sdfleet_cli.rehearsal.stage import Stage, prepare_checkout, stage_on

CHECKOUT = Path(__file__).resolve().parents[2]
#: Long enough for a canary that fails everything to be seen, on two busy cores.
BAKE = timedelta(seconds=12)
#: Three boots on two cores that do something else.
PATIENCE_S = 120.0


@pytest.fixture
def stage(local_deployment: RunningService) -> Iterator[Stage]:
    """Leaves the shared deployment as it was: three in service, on the release that it began with."""
    prepare_checkout(local_deployment.root, CHECKOUT)
    with stage_on(local_deployment.root, per_second=5.0, prefix="rehearsed") as stage:
        yield stage
    eventually(lambda: len(local_deployment.instances_in_service()) == 3, within_s=PATIENCE_S)


def test_a_release_that_fails_tasks_goes_back_by_itself_and_costs_none_of_them_an_attempt(stage: Stage) -> None:
    said: list[str] = []
    reports = play_all(stage, ["fail-tasks"], bake=BAKE, on_step=said.append)
    account, touched = close_account(stage)

    assert [report.wrong for report in reports] == [()], said
    assert account.is_clean, account
    assert account.accepted == account.succeeded > 20
    # It touched some, by its own account too, and none of them paid for it.
    assert touched.tasks > 0
    assert touched.spent == 0
    assert not stage.load.refused
