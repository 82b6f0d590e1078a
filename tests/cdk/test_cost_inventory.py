"""The bill counts what the template holds."""

from __future__ import annotations

import pytest

from cdk_templates import VARIANTS, WEBUI, Templates, templates
from sdfleet.config import Config, placed
from sdfleet.config.inventory import assumptions_of, inventory_of
from sdfleet.domain.cost import HOURS, Assumptions, Inventory

every_variant = pytest.mark.parametrize("variant", VARIANTS)

#: The bill has no row for these.
NOT_RECKONED_WITH = (
    "AWS::ApiGateway::CacheCluster",
    "AWS::EC2::Instance",
    "AWS::ECS::",
    "AWS::EFS::",
    "AWS::EKS::",
    "AWS::ElasticLoadBalancingV2::",
    "AWS::Lambda::ProvisionedConcurrency",
    "AWS::RDS::",
    "AWS::WAFv2::",
)


def configured(variant: str) -> Config:
    keys = {"modelsRuntime": [dict(WEBUI)], **VARIANTS[variant]}
    return placed(Config.model_validate(keys), keys["region"])


def counted(variant: str) -> Inventory:
    return inventory_of(configured(variant))


def assumed(variant: str) -> Assumptions:
    return assumptions_of(configured(variant))


def count(made: Templates, kind: str) -> int:
    return sum(1 for _ in made.resources(kind))


@every_variant
def test_alarms_are_counted_by_the_metrics_they_read(variant: str) -> None:
    alarms = [alarm.properties for alarm in templates(variant).resources("AWS::CloudWatch::Alarm")]
    read = sum(
        1 if "MetricName" in alarm else sum("MetricStat" in query for query in alarm["Metrics"]) for alarm in alarms
    )
    assert counted(variant).alarm_metrics == read


@every_variant
def test_dashboards_gateways_secrets_and_keys_are_counted(variant: str) -> None:
    made, reckoned = templates(variant), counted(variant)
    assert reckoned.dashboards == count(made, "AWS::CloudWatch::Dashboard")
    assert reckoned.nat_gateways == count(made, "AWS::EC2::NatGateway")
    assert reckoned.public_addresses == count(made, "AWS::EC2::EIP")
    assert reckoned.secrets == count(made, "AWS::SecretsManager::Secret")
    assert reckoned.keys == count(made, "AWS::KMS::Key")


@every_variant
def test_the_queues_that_functions_wait_at_are_counted(variant: str) -> None:
    mappings = list(templates(variant).resources("AWS::Lambda::EventSourceMapping"))
    assert counted(variant).event_source_queues == len(mappings)


@every_variant
def test_the_queues_that_the_sweeper_looks_into_each_minute_are_counted(variant: str) -> None:
    made = templates(variant)
    (taking,) = [
        statement
        for role in made.resources("AWS::IAM::Role")
        for policy in role.properties.get("Policies", ())
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Sid"] == "TakeLetters"
    ]
    resources = taking["Resource"]
    queues = resources if isinstance(resources, list) else [resources]
    assert counted(variant).scheduled_receives == len(queues) * HOURS * 60


@every_variant
def test_schedules_are_counted_by_their_rates(variant: str) -> None:
    a_month = {"rate(1 minute)": HOURS * 60, "rate(1 hour)": HOURS}
    rules = [rule.properties for rule in templates(variant).resources("AWS::Events::Rule")]
    rates = [
        rule["ScheduleExpression"] for rule in rules if rule.get("State") == "ENABLED" and "ScheduleExpression" in rule
    ]
    assert counted(variant).scheduled_invocations == sum(a_month[rate] for rate in rates)


@every_variant
def test_there_is_nothing_that_the_bill_has_no_row_for(variant: str) -> None:
    kinds = {resource.kind for resource in templates(variant).resources()}
    assert {kind for kind in kinds if kind.startswith(NOT_RECKONED_WITH)} == set()


@every_variant
def test_traces_are_taken_as_the_bill_says(variant: str) -> None:
    rules = [one.properties["SamplingRule"] for one in templates(variant).resources("AWS::XRay::SamplingRule")]
    assert sum(rule["FixedRate"] for rule in rules) == assumed(variant).traced
    assert [rule["ReservoirSize"] for rule in rules] == [0 for _ in rules]


def test_some_variants_have_traces_and_one_of_them_its_own_share() -> None:
    assert [assumed(variant).traced for variant in ("default", "two-runtimes", "china", "no-api")] == [0.01, 0.2, 0, 0]


@every_variant
def test_backups_are_billed_where_the_table_has_them(variant: str) -> None:
    (table,) = templates(variant).resources("AWS::DynamoDB::Table")
    recovery = table.properties["PointInTimeRecoverySpecification"]
    assert recovery["PointInTimeRecoveryEnabled"] is assumed(variant).has_backups


def test_backups_are_kept_for_as_long_as_the_configuration_says() -> None:
    recovered = []
    for variant in ("default", "no-api"):
        (table,) = templates(variant).resources("AWS::DynamoDB::Table")
        recovered.append(table.properties["PointInTimeRecoverySpecification"].get("RecoveryPeriodInDays"))
    assert recovered == [configured("default").retention.backup_days, None] == [7, None]


@every_variant
def test_parameters_are_of_the_tier_that_costs_nothing(variant: str) -> None:
    parameters = list(templates(variant).resources("AWS::SSM::Parameter"))
    assert [one.logical_id for one in parameters if one.properties.get("Tier", "Standard") != "Standard"] == []
