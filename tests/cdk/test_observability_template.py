from __future__ import annotations

import json
from typing import Any

from cdk_fleet_bench import WEBUI, fleet_template, plain, with_fleet
from cdk_templates import flat, templates
from sdfleet.config import RuntimeConfig
from sdfleet.config.prices import read_prices
from sdfleet.domain import names
from sdfleet.domain.trial import LIMITS_PARAMETER, TrialLimits
from sdfleet_cdk.metrics_agent import GPU_METRIC_PREFIX, agent_settings
from sdfleet_cdk.observability import fleet_price

ALARM = "AWS::CloudWatch::Alarm"
TOPIC = "AWS::SNS::Topic"
FLEET = "sdfleet-sdruntime"


def test_every_alarm_for_people_goes_to_the_one_topic() -> None:
    template = fleet_template()
    (topic,) = [name for name, one in template.resources.items() if one["Type"] == TOPIC]
    told = [one for one in template.of_type(ALARM) if one["AlarmActions"] == [{"Ref": topic}]]
    assert sorted(one["AlarmName"] for one in told) == [
        "sdfleet-api-errors",
        "sdfleet-callbacks",
        "sdfleet-dead-letters",
        "sdfleet-sdruntime-boot-failures",
        "sdfleet-sdruntime-failures",
        "sdfleet-sdruntime-no-instance",
        "sdfleet-sdruntime-oldest-message",
    ]
    assert all(one["OKActions"] == [{"Ref": topic}] for one in told)


def test_callbacks_that_are_given_up_ring_until_they_are_sent_back() -> None:
    alarm = templates("default").named("AWS::CloudWatch::Alarm", "AlarmName")["sdfleet-callbacks"]
    (metric,) = [one["MetricStat"]["Metric"] for one in alarm["Metrics"] if "MetricStat" in one]
    assert metric["MetricName"] == "ApproximateNumberOfMessagesVisible"
    (dimension,) = metric["Dimensions"]
    assert dimension["Value"] in templates("default").named("AWS::SQS::Queue", "QueueName")
    assert dimension["Value"] == "sdfleet-callbacks-dead-letters"
    assert alarm["Threshold"] == 1


def test_the_alarm_email_is_subscribed() -> None:
    subscription = fleet_template(alarmEmail="ops@example.com").one("AWS::SNS::Subscription")
    assert (subscription["Protocol"], subscription["Endpoint"]) == ("email", "ops@example.com")


def test_without_an_email_nobody_is_subscribed() -> None:
    assert fleet_template().of_type("AWS::SNS::Subscription") == []


def test_alarms_of_this_account_may_publish_to_the_topic() -> None:
    statements = fleet_template().one("AWS::SNS::TopicPolicy")["PolicyDocument"]["Statement"]
    (allowed,) = [one for one in statements if one["Effect"] == "Allow"]
    assert allowed["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert allowed["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def test_the_limits_of_the_alarms_are_the_configurations() -> None:
    template = fleet_template(
        alarms={
            "deadLetters": 7,
            "oldestMessageS": 1200,
            "failurePercentage": 25,
            "noInstanceS": 900,
            "apiErrorPercentage": 3,
        }
    )
    limits = {one["AlarmName"]: (one["Threshold"], one["EvaluationPeriods"]) for one in template.of_type(ALARM)}
    assert limits["sdfleet-dead-letters"] == (7, 1)
    assert limits["sdfleet-sdruntime-oldest-message"] == (1200, 1)
    assert limits["sdfleet-sdruntime-failures"] == (25, 1)
    assert limits["sdfleet-sdruntime-no-instance"] == (1, 15)
    assert limits["sdfleet-api-errors"] == (3, 1)


def test_a_few_failures_on_a_quiet_day_wake_nobody() -> None:
    (formula,) = [
        one["Expression"]
        for one in fleet_template().named(ALARM, "AlarmName", f"{FLEET}-failures")["Metrics"]
        if one.get("Expression")
    ]
    ended = "(FILL(succeeded, 0) + FILL(failed, 0))"
    assert formula == f"IF({ended} >= 5, 100 * FILL(failed, 0) / {ended}, 0)"


def test_the_alarms_on_a_release_on_trial_are_its_rollouts() -> None:
    alarms = {one["AlarmName"] for one in fleet_template().of_type(ALARM)}
    of_release = set(names.trial_alarms("sdfleet", "sdruntime"))
    assert set(names.rollout_alarms("sdfleet", "sdruntime")) & alarms == {f"{FLEET}-no-instance"}
    assert not of_release & alarms


def test_what_they_are_measured_by_is_the_configurations_and_told_to_the_topic() -> None:
    template = fleet_template(alarms={"deadLetters": 7, "failurePercentage": 25})
    (topic,) = [name for name, one in template.resources.items() if one["Type"] == TOPIC]
    parameter = template.named("AWS::SSM::Parameter", "Name", f"/sdfleet/sdfleet/sdruntime/{LIMITS_PARAMETER}")
    assert TrialLimits.from_json(flat(parameter["Value"])) == TrialLimits(f"<{topic}>", 25, 7)


def test_the_alarms_of_one_runtime_cost_little_while_nothing_runs() -> None:
    # 0.10 USD a month for every metric that an alarm reads.
    metrics = sum(
        sum("MetricStat" in one for one in alarm.get("Metrics", [])) or 1 for alarm in fleet_template().of_type(ALARM)
    )
    assert metrics * 0.10 <= 1.50


def test_the_dashboard_answers_the_questions_of_a_person_on_call() -> None:
    shown = {metric[1] for widget in _widgets(fleet_template()) for metric in widget["metrics"] if len(metric) > 1}
    assert shown >= {
        "ApproximateAgeOfOldestMessage",
        "ApproximateNumberOfMessagesVisible",
        "ApproximateNumberOfMessagesNotVisible",
        "GroupDesiredCapacity",
        "GroupInServiceInstances",
        names.SPOT_INSTANCES,
        names.ON_DEMAND_INSTANCES,
        names.TASKS_SUCCEEDED,
        names.TASKS_FAILED,
        names.TASKS_CANCELLED,
        names.QUEUE_SECONDS,
        names.RUN_SECONDS,
        "nvidia_smi_utilization_gpu",
        "nvidia_smi_memory_used",
        names.TASKS_INTERRUPTED,
        names.DEAD_LETTERS,
    }


def test_the_dashboard_shows_of_instances_only_what_the_agent_measures_for_the_fleet() -> None:
    told = agent_settings("sdfleet", RuntimeConfig.model_validate(WEBUI))["metrics"]
    assert ["Fleet"] in told["aggregation_dimensions"]
    prefixes = {"nvidia_gpu": GPU_METRIC_PREFIX, "mem": "mem_", "disk": "disk_"}
    measured = {
        f"{prefixes[plugin]}{one['name']}"
        for plugin, about in told["metrics_collected"].items()
        for one in about["measurement"]
    }
    drawn = [metric for widget in _widgets(fleet_template()) for metric in widget["metrics"] if len(metric) > 1]
    of_instances = [metric for metric in drawn if metric[1].startswith(tuple(prefixes.values()))]
    assert {metric[1] for metric in of_instances} == measured - {"nvidia_smi_power_draw"}
    assert all(metric[2:4] == ["Fleet", FLEET] for metric in of_instances)


def test_one_sick_instance_shows_on_the_dashboard_among_many_sound_ones() -> None:
    (worst,) = [one for one in _widgets(fleet_template()) if "worst off" in one["title"]]
    assert {metric[-1]["stat"] for metric in worst["metrics"] if len(metric) > 1} == {"Maximum"}


def test_cost_per_thousand_tasks_comes_from_instance_minutes_and_the_list_of_prices() -> None:
    template = fleet_template(modelsRuntime=with_fleet(instanceTypes=["g5.xlarge"]))
    prices = read_prices()
    price = prices.instances["g5.xlarge"]
    (cost,) = [one for one in _widgets(template) if one["title"].startswith("USD")]
    (formula,) = [metric[0]["expression"] for metric in cost["metrics"] if "expression" in metric[0]]
    hours = f"(FILL(spot, 0) * {price.spot:g} + FILL(ondemand, 0) * {price.on_demand:g}) / 60"
    assert formula == f"IF(succeeded > 0, 1000 * {hours} / succeeded)"
    assert {metric[-1]["period"] for metric in cost["metrics"] if len(metric) > 1} == {3600}
    assert prices.as_of in cost["title"]


def test_where_no_price_is_known_hours_are_shown() -> None:
    runtime = RuntimeConfig.model_validate({**WEBUI, "fleet": {"instanceTypes": ["g5.xlarge"]}})
    assert fleet_price(runtime, "us-west-2") is not None
    assert fleet_price(runtime, "cn-northwest-1") is None


def test_each_fleet_has_its_own_part_of_the_dashboard() -> None:
    template = fleet_template(modelsRuntime=[dict(WEBUI), {"name": "flows", "type": "comfyui"}])
    body = _body(template)
    assert [one["properties"]["markdown"] for one in body["widgets"] if one["type"] == "text"] == [
        "## The service",
        "## Fleet sdruntime",
        "## Fleet flows",
    ]


def test_widgets_do_not_cover_each_other() -> None:
    places: set[tuple[int, int]] = set()
    for widget in _body(fleet_template())["widgets"]:
        cells = {
            (x, y)
            for x in range(widget["x"], widget["x"] + widget["width"])
            for y in range(widget["y"], widget["y"] + widget["height"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & places
        places |= cells


def test_ids_in_a_widget_are_unique() -> None:
    for widget in _widgets(fleet_template()):
        ids = [metric[-1]["id"] for metric in widget["metrics"]]
        assert len(ids) == len(set(ids))


def _body(template: Any) -> Any:
    return json.loads(plain(template.one("AWS::CloudWatch::Dashboard")["DashboardBody"]))


def _widgets(template: Any) -> list[Any]:
    return [one["properties"] for one in _body(template)["widgets"] if one["type"] == "metric"]
