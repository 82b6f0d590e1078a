"""What the template makes is what local mode makes: names, keys, filters and numbers, resource by resource."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws

from builders import NOON
from cdk_templates import Templates, flat, templates
from sdfleet.aws.clients import Clients
from sdfleet.aws.task_record import TTL_ATTRIBUTE
from sdfleet.domain.task import RuntimeType
from sdfleet_lambdas import sweeper
from sdfleet_lambdas.dead_letters import VISIBILITY
from sdfleet_local.functions import SWEEP_EVERY
from sdfleet_local.outputs import outputs_of
from sdfleet_local.plan import PlannedRuntime
from sdfleet_local.provisioning import Resources, provision, publish_release

RUNTIMES = (
    PlannedRuntime("sdruntime", RuntimeType.SDWEBUI, model_filename="v1-5.safetensors"),
    PlannedRuntime("comfy-flow", RuntimeType.COMFYUI),
)
#: Local mode's outputs that say how to reach this machine.
#: Here the groups' events come through a queue; on AWS a rule hands them to the function.
IN_PLACE_OF_EVENTS = "local-rollout-events"
#: Here what wakes the fast scaler comes through a queue; on AWS the topic calls the function.
IN_PLACE_OF_CALLS = "local-wake"
OF_THIS_MACHINE = {"ApiKey", "AwsEndpointUrl", "AwsRegion"}


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clients]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "none")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "none")
    with mock_aws():
        yield Clients()


@pytest.fixture
def local(clients: Clients) -> Resources:
    return provision(clients, RUNTIMES, model_bucket=None)


@cache
def cloud() -> Templates:
    return templates("local")


def name_of(arn: str) -> str:
    return arn.rsplit(":", 1)[-1]


def cloud_name(value: Any, kind: str, key: str) -> str:
    """What a resource that a property refers to is called."""
    wanted = value["Ref"] if "Ref" in value else value["Fn::GetAtt"][0]
    return next(str(one.properties[key]) for one in cloud().resources(kind) if one.logical_id == wanted)


def sweepers_statements() -> dict[str, Any]:
    """Of its role, by their names."""
    role_id = cloud().named("AWS::Lambda::Function", "FunctionName")["local-sweeper"]["Role"]["Fn::GetAtt"][0]
    (role,) = [one for one in cloud().resources("AWS::IAM::Role") if one.logical_id == role_id]
    (policy,) = role.properties["Policies"]
    return {one["Sid"]: one for one in policy["PolicyDocument"]["Statement"]}


def local_queues(clients: Clients) -> dict[str, tuple[str, str | None]]:
    """Retention and redrive policy by name."""
    found = {}
    for url in clients.sqs.list_queues()["QueueUrls"]:
        attributes = clients.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        policy = json.loads(attributes.get("RedrivePolicy", "{}"))
        redrive = f"{policy['maxReceiveCount']} to {name_of(policy['deadLetterTargetArn'])}" if policy else None
        found[url.rsplit("/", 1)[-1]] = (attributes["MessageRetentionPeriod"], redrive)
    return found


def cloud_queues() -> dict[str, tuple[str, str | None]]:
    found = {}
    for name, queue in cloud().named("AWS::SQS::Queue", "QueueName").items():
        policy = queue.get("RedrivePolicy")
        dead = cloud_name(policy["deadLetterTargetArn"], "AWS::SQS::Queue", "QueueName") if policy else ""
        found[name] = (
            str(queue["MessageRetentionPeriod"]),
            f"{policy['maxReceiveCount']} to {dead}" if policy else None,
        )
    return found


@pytest.mark.usefixtures("local")
def test_the_queues_have_the_same_names_retention_and_dead_letters(clients: Clients) -> None:
    own = (IN_PLACE_OF_EVENTS, IN_PLACE_OF_CALLS)
    here = {name: queue for name, queue in local_queues(clients).items() if not name.startswith(own)}
    assert cloud_queues() == here


@pytest.mark.usefixtures("local")
def test_the_topics_deliver_the_same_to_the_same_queues(clients: Clients) -> None:
    here = set()
    for one in clients.sns.list_subscriptions()["Subscriptions"]:
        if name_of(one["TopicArn"]) == IN_PLACE_OF_CALLS:
            continue
        attributes = clients.sns.get_subscription_attributes(SubscriptionArn=one["SubscriptionArn"])["Attributes"]
        policy = json.dumps(json.loads(attributes["FilterPolicy"]), sort_keys=True)
        here.add((name_of(one["TopicArn"]), name_of(one["Endpoint"]), policy, attributes["RawMessageDelivery"]))
    there = {
        (
            cloud_name(one.properties["TopicArn"], "AWS::SNS::Topic", "TopicName"),
            cloud_name(one.properties["Endpoint"], "AWS::SQS::Queue", "QueueName"),
            json.dumps(one.properties["FilterPolicy"], sort_keys=True),
            str(one.properties.get("RawMessageDelivery", False)).lower(),
        )
        for one in cloud().resources("AWS::SNS::Subscription")
        if one.properties["Protocol"] == "sqs"
    }
    assert there == here


def test_the_table_has_the_same_keys_and_the_same_index(clients: Clients, local: Resources) -> None:
    here: Any = clients.dynamodb.describe_table(TableName=local.deployment.table_name)["Table"]
    there = cloud().named("AWS::DynamoDB::Table", "TableName")[local.deployment.table_name]
    assert there["KeySchema"] == here["KeySchema"]
    assert there["BillingMode"] == here["BillingModeSummary"]["BillingMode"]
    assert sorted(map(str, there["AttributeDefinitions"])) == sorted(map(str, here["AttributeDefinitions"]))
    (index,) = here["GlobalSecondaryIndexes"]
    assert there["GlobalSecondaryIndexes"] == [{key: index[key] for key in ("IndexName", "KeySchema", "Projection")}]
    # Embedded DynamoDB never expires anything; the cloud looks where the records say.
    assert there["TimeToLiveSpecification"] == {"AttributeName": TTL_ATTRIBUTE, "Enabled": True}


def test_the_processes_are_told_the_same(local: Resources) -> None:
    functions = cloud().named("AWS::Lambda::Function", "FunctionName")
    there = json.loads(flat(functions["local-api"]["Environment"]["Variables"]["SDFLEET_DEPLOYMENT"]))
    here = json.loads(local.deployment.to_env()["SDFLEET_DEPLOYMENT"])
    for of_place in ("output_bucket", "inbox_bucket", "links"):
        assert (here.pop(of_place), there.pop(of_place)) is not None

    def placeless(value: Any) -> Any:
        """URLs and ARNs by their last part."""
        match value:
            case dict():
                return {key: placeless(one) for key, one in value.items()}
            case list():
                return [placeless(one) for one in value]
            case str():
                return name_of(value.rsplit("/", 1)[-1])
        return value

    assert placeless(there) == placeless(here)


def test_the_outputs_have_the_same_names(local: Resources) -> None:
    here = outputs_of(local.deployment, api_port=1, api_key="", endpoint_url="", outputs_file=Path("outputs.json"))
    assert set(cloud().outputs) == set(here) - OF_THIS_MACHINE


@pytest.mark.usefixtures("local")
def test_the_releases_face_has_the_same_parameters(clients: Clients) -> None:
    publish_release(clients, RUNTIMES, now=NOON)
    written = {one["Name"] for one in clients.ssm.describe_parameters()["Parameters"]}
    # Records of releases come with releases, not with a template.
    here = {name for name in written if "/releases/" not in name}
    there = {name for name in cloud().named("AWS::SSM::Parameter", "Name") if "/links/" not in name}
    assert here
    assert here <= there


def test_the_functions_have_the_same_sources(local: Resources) -> None:
    fed = {
        (
            cloud_name(one.properties["FunctionName"], "AWS::Lambda::Function", "Handler"),
            flat(one.properties["EventSourceArn"]),
        )
        for one in cloud().resources("AWS::Lambda::EventSourceMapping")
    }
    there = {(handler, name_of(arn)) for handler, arn in fed}
    here = {
        ("sdfleet_lambdas.submission.handler", name_of(local.submissions.arn)),
        ("sdfleet_lambdas.callbacks.handler", name_of(local.callbacks.arn)),
    }
    assert there == here


def test_the_sweeper_takes_letters_from_the_same_queues(local: Resources) -> None:
    here = {url.rsplit("/", 1)[-1] for url in local.deployment.dead_letter_queue_urls}
    statements = sweepers_statements()
    there = {name_of(flat(arn)) for arn in statements["TakeLetters"]["Resource"]}
    assert there == here
    assert set(statements["TakeLetters"]["Action"]) == {"sqs:ReceiveMessage", "sqs:DeleteMessage"}


def test_the_sweeper_sends_back_to_the_fleets_queues_alone(local: Resources) -> None:
    here = {runtime.queue_url.rsplit("/", 1)[-1] for runtime in local.deployment.runtimes}
    assert {name_of(flat(arn)) for arn in sweepers_statements()["SendBack"]["Resource"]} == here


def test_a_letter_is_hidden_for_as_long_as_the_sweeper_may_run() -> None:
    function = cloud().named("AWS::Lambda::Function", "FunctionName")["local-sweeper"]
    assert timedelta(seconds=function["Timeout"]) == VISIBILITY
    assert sweeper.RECORDS_TIME_LIMIT < sweeper.TIME_LIMIT < VISIBILITY < SWEEP_EVERY


def test_the_sweeper_comes_as_often() -> None:
    rules = cloud().named("AWS::Events::Rule", "Name")
    minutes = int(SWEEP_EVERY.total_seconds()) // 60
    assert rules["local-sweeper"]["ScheduleExpression"] == f"rate({minutes} minute{'s' if minutes > 1 else ''})"
