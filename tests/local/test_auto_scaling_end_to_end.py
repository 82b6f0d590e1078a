"""A release is rolled out to the real schedulers of a local deployment, as boto3 asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from running_service import RunningService, eventually, new_id
from sdfleet.aws.clients import Clients
from sdfleet.aws.clock import SystemClock
from sdfleet.aws.release_store import SsmReleaseStore
from sdfleet.aws.rollout_group import AutoScalingRolloutGroup
from sdfleet.aws.trial_alarms import TrialAlarms
from sdfleet.domain import names
from sdfleet.domain.instance_refresh import EndTrial, RefreshStatus, StartRefresh, TrialWatch
from sdfleet.domain.release import Release

RUNTIME = "sdruntime"
#: Three boots, one after the other at worst, on two cores that do something else.
PATIENCE_S = 150.0
MOMENT = timedelta(seconds=2)


@pytest.fixture
def clients(local_deployment: RunningService, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clients]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    built = Clients(region="us-east-1", endpoint_url=local_deployment.outputs["AwsEndpointUrl"])
    yield built
    for client in (built.autoscaling, built.ec2):
        client.close()


@pytest.fixture
def group(clients: Clients) -> Iterator[AutoScalingRolloutGroup]:
    """Goes back to what it was: other tests use the same deployment."""
    group = AutoScalingRolloutGroup(
        clients.autoscaling,
        clients.ec2,
        SystemClock(),
        group_name=names.fleet_name("local", RUNTIME),
        alarms=TrialAlarms(
            clients.cloudwatch, SsmReleaseStore(clients.ssm, "local"), deployment_id="local", runtime=RUNTIME
        ),
    )
    before = group.state()
    yield group
    back = StartRefresh(before.template_version, (100,), timedelta(0), timedelta(0), auto_rollback=False)
    group.carry_out(back)
    eventually(lambda: group.state().releases == before.releases, within_s=PATIENCE_S)
    group.carry_out(EndTrial())


def test_a_release_reaches_every_instance_of_a_running_fleet(
    local_deployment: RunningService, group: AutoScalingRolloutGroup
) -> None:
    before = group.state()
    assert sum(before.releases.values()) == before.capacity

    version = group.add_template_version(Release("1.9.0", datetime.now(UTC), "ada", "the checkout"))
    group.carry_out(StartRefresh(version, (20, 100), MOMENT, MOMENT, auto_rollback=True, release="1.9.0"))
    assert group.observed().watch is TrialWatch.ALL

    def ended() -> bool:
        return group.observed().refreshes[0].status.is_over

    eventually(ended, within_s=PATIENCE_S)
    newest = group.observed().refreshes[0]
    assert (newest.status, newest.reason) == (RefreshStatus.SUCCESSFUL, None)
    assert group.state().template_version == version
    # The old ones may still be on their way out, through their termination hook.
    eventually(lambda: group.state().releases == {"1.9.0": before.capacity}, within_s=PATIENCE_S)
    assert {one["release"] for one in local_deployment.instances_in_service()} == {"1.9.0"}
    task_id = new_id()
    local_deployment.submit(id=task_id)
    assert local_deployment.ended(task_id)["status"] == "succeeded"
