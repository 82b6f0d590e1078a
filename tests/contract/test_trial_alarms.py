"""The alarms on a release on trial, on moto's CloudWatch."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.stub import ANY, Stubber

from builders import NOON
from sdfleet.aws.clients import Clients
from sdfleet.aws.remains import delete_alarms
from sdfleet.aws.trial_alarms import TrialAlarms
from sdfleet.domain import names
from sdfleet.domain.instance_refresh import TrialWatch
from sdfleet.domain.trial import FAILURE_FORMULA, LIMITS_PARAMETER, Runs, TrialLimits
from sdfleet.errors import DeploymentRefused, ServiceUnavailable, TrialUnwatched
from sdfleet.memory.release_store import MemoryReleaseStore

FAILURES, UNREADY, DEAD_LETTERS, NO_INSTANCE = names.rollout_alarms("sdfleet", "sd")
OF_RELEASE = (FAILURES, UNREADY, DEAD_LETTERS)
TOPIC = "arn:aws:sns:us-east-1:123456789012:sdfleet-alarms"
FLEET: Any = {"Name": "Fleet", "Value": "sdfleet-sd"}
RELEASE: Any = {"Name": "Release", "Value": "1.1.0"}


@pytest.fixture
def releases() -> MemoryReleaseStore:
    """With the limits of the template."""
    releases = MemoryReleaseStore()
    releases.write("sd", LIMITS_PARAMETER, TrialLimits(TOPIC, failure_percentage=25, dead_letters=7).to_json())
    return releases


@pytest.fixture
def alarms(clients: Clients, releases: MemoryReleaseStore) -> Iterator[TrialAlarms]:
    """Of a fleet on which no rollout is under way."""
    clients.cloudwatch.put_metric_alarm(
        AlarmName=NO_INSTANCE,
        Namespace="AWS/AutoScaling",
        MetricName="GroupInServiceInstances",
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="LessThanThreshold",
    )
    yield TrialAlarms(clients.cloudwatch, releases, deployment_id="sdfleet", runtime="sd")
    clients.cloudwatch.delete_alarms(AlarmNames=[*OF_RELEASE, NO_INSTANCE])


def described(clients: Clients, name: str) -> Any:
    (found,) = clients.cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    return found


def standing(clients: Clients) -> set[str]:
    answer = clients.cloudwatch.describe_alarms(AlarmNames=[*OF_RELEASE])
    return {alarm["AlarmName"] for alarm in answer["MetricAlarms"]}


def stat(query_id: str, metric: str, *dimensions: Any) -> dict[str, Any]:
    """A sum over five minutes."""
    found = {"Namespace": "sdfleet", "MetricName": metric, "Dimensions": list(dimensions)}
    return {"Id": query_id, "ReturnData": False, "MetricStat": {"Metric": found, "Period": 300, "Stat": "Sum"}}


def formula(expression: str, label: str) -> dict[str, Any]:
    return {"Id": "value", "Expression": expression, "Label": label, "ReturnData": True}


#: As the template had them up to 2026-11-21, on no release yet: metrics and threshold. The rest was the same for all.
OF_THE_TEMPLATE = {
    FAILURES: (
        [
            formula(FAILURE_FORMULA, "percent failed"),
            stat("good", "TasksSucceeded", FLEET, RELEASE),
            stat("bad", "TriesFailed", FLEET, RELEASE),
            stat("allgood", "TasksSucceeded", FLEET),
            stat("allbad", "TriesFailed", FLEET),
        ],
        25,
    ),
    UNREADY: ([formula("unready", "reports"), stat("unready", "InstancesUnready", FLEET, RELEASE)], 1),
    DEAD_LETTERS: ([formula("letters", "dead letters"), stat("letters", "DeadLetters", FLEET, RELEASE)], 7),
}


@pytest.mark.parametrize("name", OF_RELEASE)
def test_a_rollout_puts_what_the_template_had_on_its_own_release(
    clients: Clients, alarms: TrialAlarms, name: str
) -> None:
    assert alarms.begin_trial("1.1.0") == (FAILURES, UNREADY, DEAD_LETTERS, NO_INSTANCE)

    found = described(clients, name)
    metrics, threshold = OF_THE_TEMPLATE[name]
    assert found["Metrics"] == metrics
    assert found["Threshold"] == threshold
    assert (found["EvaluationPeriods"], found["DatapointsToAlarm"]) == (1, 1)
    assert (found["ComparisonOperator"], found["TreatMissingData"]) == ("GreaterThanOrEqualToThreshold", "notBreaching")
    assert (found["AlarmActions"], found["OKActions"], found["InsufficientDataActions"]) == ([TOPIC], [TOPIC], [])
    assert found["ActionsEnabled"] is True
    assert found["AlarmDescription"].endswith("its rollout goes back.")


def test_auto_scaling_takes_no_more_than_ten() -> None:
    assert len(names.rollout_alarms("sdfleet", "sd")) <= 10


def test_nobody_is_told_that_a_new_alarm_is_ok(clients: Clients, releases: MemoryReleaseStore) -> None:
    """CloudWatch begins with INSUFFICIENT_DATA, for which a refresh waits; to OK is a change, which has actions."""
    alarms = TrialAlarms(clients.cloudwatch, releases, deployment_id="sdfleet", runtime="sd")
    with Stubber(clients.cloudwatch) as stub:
        for name in OF_RELEASE:
            metrics, threshold = OF_THE_TEMPLATE[name]
            put = {
                "AlarmName": name,
                "AlarmDescription": ANY,
                "Metrics": metrics,
                "EvaluationPeriods": 1,
                "DatapointsToAlarm": 1,
                "Threshold": threshold,
                "ComparisonOperator": "GreaterThanOrEqualToThreshold",
                "TreatMissingData": "notBreaching",
                "AlarmActions": [TOPIC],
                "OKActions": [TOPIC],
                "ActionsEnabled": False,
            }
            stub.add_response("put_metric_alarm", {}, put)
            stub.add_response("set_alarm_state", {}, {"AlarmName": name, "StateValue": "OK", "StateReason": ANY})
        stub.add_response("enable_alarm_actions", {}, {"AlarmNames": [*OF_RELEASE]})
        stub.add_response("describe_alarms", {"MetricAlarms": []})
        assert alarms.begin_trial("1.1.0") == OF_RELEASE
        stub.assert_no_pending_responses()


def test_what_rang_in_the_last_trial_is_silent_in_the_next(clients: Clients, alarms: TrialAlarms) -> None:
    alarms.begin_trial("1.0.9")
    clients.cloudwatch.set_alarm_state(AlarmName=FAILURES, StateValue="ALARM", StateReason="it was bad")
    alarms.begin_trial("1.1.0")
    found = described(clients, FAILURES)
    assert (found["StateValue"], found["Metrics"]) == ("OK", OF_THE_TEMPLATE[FAILURES][0])


def test_an_alarm_of_the_fleet_that_rings_already_does_not_keep_the_mend_away(
    clients: Clients, alarms: TrialAlarms
) -> None:
    clients.cloudwatch.set_alarm_state(AlarmName=NO_INSTANCE, StateValue="ALARM", StateReason="nothing boots")
    assert alarms.begin_trial("1.1.0") == (FAILURES, UNREADY, DEAD_LETTERS)


def test_the_alarms_that_ring_are_told(clients: Clients, alarms: TrialAlarms) -> None:
    assert alarms.ringing() == ()
    alarms.begin_trial("1.1.0")
    for name in (NO_INSTANCE, UNREADY):
        clients.cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="asked")
    assert alarms.ringing() == (UNREADY, NO_INSTANCE)


def test_the_end_leaves_none_and_may_come_twice(clients: Clients, alarms: TrialAlarms) -> None:
    assert alarms.watch() is TrialWatch.NONE
    alarms.end_trial()
    alarms.begin_trial("1.1.0")
    assert alarms.watch() is TrialWatch.ALL
    clients.cloudwatch.delete_alarms(AlarmNames=[UNREADY])
    assert alarms.watch() is TrialWatch.SOME
    for _ in range(2):
        alarms.end_trial()
        assert (alarms.watch(), standing(clients)) == (TrialWatch.NONE, set())
    assert described(clients, NO_INSTANCE)


def test_only_what_is_gone_is_made_again(clients: Clients, alarms: TrialAlarms) -> None:
    alarms.begin_trial("1.1.0")
    clients.cloudwatch.set_alarm_state(AlarmName=FAILURES, StateValue="ALARM", StateReason="it is bad")
    clients.cloudwatch.delete_alarms(AlarmNames=[UNREADY, DEAD_LETTERS])
    alarms.mend_trial("1.1.0")
    assert alarms.watch() is TrialWatch.ALL
    assert described(clients, UNREADY)["ActionsEnabled"] is True
    assert described(clients, FAILURES)["StateValue"] == "ALARM"
    alarms.mend_trial("1.1.0")


def test_somebody_who_deletes_them_at_the_same_time_is_no_trouble(clients: Clients) -> None:
    with Stubber(clients.cloudwatch) as stub:
        stub.add_response("describe_alarms", {"MetricAlarms": [{"AlarmName": UNREADY}]})
        stub.add_client_error("delete_alarms", "ResourceNotFound", http_status_code=404)
        assert delete_alarms(clients.cloudwatch, OF_RELEASE) == [UNREADY]
        stub.assert_no_pending_responses()


def test_without_alarms_nothing_is_rolled_out(clients: Clients, releases: MemoryReleaseStore) -> None:
    alarms = TrialAlarms(clients.cloudwatch, releases, deployment_id="sdfleet", runtime="sd")
    with Stubber(clients.cloudwatch) as stub:
        stub.add_client_error(
            "put_metric_alarm", "AccessDenied", "not authorized to perform: cloudwatch:PutMetricAlarm"
        )
        with pytest.raises(TrialUnwatched, match=r"put on 1\.1\.0, .* PutMetricAlarm: not authorized") as error:
            alarms.begin_trial("1.1.0")
    assert isinstance(error.value.__cause__.__cause__ if error.value.__cause__ else None, ClientError)


def test_limits_that_cannot_be_read_put_no_alarms(clients: Clients) -> None:
    class Away(MemoryReleaseStore):
        def read(self, runtime: str, name: str) -> str | None:
            raise ServiceUnavailable("SSM is away.")

    alarms = TrialAlarms(clients.cloudwatch, Away(), deployment_id="sdfleet", runtime="sd")
    with pytest.raises(TrialUnwatched, match="SSM is away"):
        alarms.begin_trial("1.1.0")


def test_a_template_without_the_fleets_alarm_has_to_be_deployed_first(clients: Clients, alarms: TrialAlarms) -> None:
    alarms.check()
    clients.cloudwatch.delete_alarms(AlarmNames=[NO_INSTANCE])
    with pytest.raises(DeploymentRefused, match=r"sdfleet-sd-no-instance.*deploy the service again"):
        alarms.check()


@pytest.mark.parametrize("value", ["", "{}", "null"])
def test_a_template_without_the_limits_has_to_be_deployed_first(
    alarms: TrialAlarms, releases: MemoryReleaseStore, value: str
) -> None:
    releases.write("sd", LIMITS_PARAMETER, value)
    with pytest.raises(DeploymentRefused, match=r"/sdfleet/sdfleet/sd/trial-limits.*deploy the service again"):
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
