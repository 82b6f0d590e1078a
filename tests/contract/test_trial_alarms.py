"""The alarms on a release on trial, on moto's CloudWatch."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from builders import NOON
from sdfleet.aws.clients import Clients
from sdfleet.aws.trial_alarms import TrialAlarms
from sdfleet.domain import names
from sdfleet.domain.trial import Runs
from sdfleet.errors import DeploymentRefused

FAILURES, UNREADY, DEAD_LETTERS, NO_INSTANCE = names.rollout_alarms("sdfleet", "sd")
FLEET: Any = {"Name": "Fleet", "Value": "sdfleet-sd"}
NOBODY: Any = {"Name": "Release", "Value": "unreleased"}


def put(clients: Clients, name: str, metrics: list[Any]) -> None:
    clients.cloudwatch.put_metric_alarm(
        AlarmName=name,
        AlarmDescription="as the template has it",
        AlarmActions=["arn:aws:sns:us-east-1:123456789012:alarms"],
        Metrics=metrics,
        EvaluationPeriods=1,
        Threshold=10,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="notBreaching",
    )


def stat(query_id: str, *dimensions: Any) -> dict[str, Any]:
    metric = {"Namespace": "sdfleet", "MetricName": "TriesFailed", "Dimensions": list(dimensions)}
    return {"Id": query_id, "ReturnData": False, "MetricStat": {"Metric": metric, "Period": 300, "Stat": "Sum"}}


@pytest.fixture
def alarms(clients: Clients) -> Iterator[TrialAlarms]:
    """As the template makes them."""
    formula = {"Id": "value", "Expression": "bad + allbad", "Label": "percent", "ReturnData": True}
    for name in (FAILURES, UNREADY, DEAD_LETTERS):
        put(clients, name, [formula, stat("bad", FLEET, NOBODY), stat("allbad", FLEET)])
    put(clients, NO_INSTANCE, [formula, stat("bad", FLEET), stat("allbad", FLEET)])
    yield TrialAlarms(clients.cloudwatch, deployment_id="sdfleet", runtime="sd")
    clients.cloudwatch.delete_alarms(AlarmNames=[FAILURES, UNREADY, DEAD_LETTERS, NO_INSTANCE])


def described(clients: Clients, name: str) -> Any:
    (found,) = clients.cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    return found


def test_a_trial_points_its_alarms_at_its_release_and_changes_nothing_else(
    clients: Clients, alarms: TrialAlarms
) -> None:
    assert alarms.begin_trial("1.1.0") == (FAILURES, UNREADY, DEAD_LETTERS, NO_INSTANCE)

    found = described(clients, FAILURES)
    watched = {one["Id"]: one["MetricStat"]["Metric"]["Dimensions"] for one in found["Metrics"] if "MetricStat" in one}
    assert watched == {"bad": [FLEET, {"Name": "Release", "Value": "1.1.0"}], "allbad": [FLEET]}
    assert (found["Threshold"], found["TreatMissingData"], found["AlarmDescription"]) == (
        10,
        "notBreaching",
        "as the template has it",
    )
    assert found["AlarmActions"] == ["arn:aws:sns:us-east-1:123456789012:alarms"]


def test_what_rang_in_the_last_trial_is_silent_in_the_next(clients: Clients, alarms: TrialAlarms) -> None:
    alarms.begin_trial("1.1.0")
    clients.cloudwatch.set_alarm_state(AlarmName=FAILURES, StateValue="ALARM", StateReason="it was bad")
    alarms.begin_trial("1.2.0")
    assert described(clients, FAILURES)["StateValue"] == "OK"


def test_an_alarm_of_the_fleet_that_rings_already_does_not_keep_the_mend_away(
    clients: Clients, alarms: TrialAlarms
) -> None:
    clients.cloudwatch.set_alarm_state(AlarmName=NO_INSTANCE, StateValue="ALARM", StateReason="nothing boots")
    assert alarms.begin_trial("1.1.0") == (FAILURES, UNREADY, DEAD_LETTERS)


def test_the_alarms_that_ring_are_told(clients: Clients, alarms: TrialAlarms) -> None:
    assert alarms.ringing() == ()
    for name in (NO_INSTANCE, UNREADY):
        clients.cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="asked")
    assert alarms.ringing() == (UNREADY, NO_INSTANCE)


def test_a_template_without_the_alarms_has_to_be_deployed_first(clients: Clients, alarms: TrialAlarms) -> None:
    alarms.check()
    clients.cloudwatch.delete_alarms(AlarmNames=[UNREADY])
    with pytest.raises(DeploymentRefused, match=r"sdfleet-sd-trial-unready.*deploy the service again"):
        alarms.check()


def test_runs_are_summed_by_release(clients: Clients, alarms: TrialAlarms) -> None:
    for release, metric, value in (
        ("1.0.0", names.TASKS_SUCCEEDED, 8),
        ("1.1.0", names.TASKS_SUCCEEDED, 1),
        ("1.1.0", names.TRIES_FAILED, 3),
    ):
        for minute in (1, 5):
            clients.cloudwatch.put_metric_data(
                Namespace=names.METRIC_NAMESPACE,
                MetricData=[
                    {
                        "MetricName": metric,
                        "Dimensions": [FLEET, {"Name": "Release", "Value": release}],
                        "Timestamp": NOON + timedelta(minutes=minute),
                        "Value": value,
                        "Unit": "Count",
                    }
                ],
            )
    until = NOON + timedelta(minutes=4)
    found = alarms.runs(("1.0.0", "1.1.0"), since=NOON, until=until + timedelta(minutes=4))
    assert found == {"1.0.0": Runs(16, 0), "1.1.0": Runs(2, 6)}
    assert alarms.runs(("1.1.0",), since=NOON, until=until) == {"1.1.0": Runs(1, 3)}
    assert alarms.runs((), since=NOON, until=until) == {}
