"""The commands on a deployment that is there: remove, list, verify, upload, transfer."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from account_stub import ACCOUNT, REGION, FakeAccount, running_account
from sdfleet.domain import names
from sdfleet_cli.main import main

QUEUE = "sdfleet-sdruntime"


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAccount]:
    with running_account(tmp_path) as running:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        tools = running.install_tools("skopeo")
        monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setenv("SDFLEET_ROOT", str(tmp_path / "a checkout"))
        (tmp_path / "a checkout").mkdir()
        yield running


def sdfleet(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def deployed(account: FakeAccount) -> None:
    """A deployment as its parts: two stacks, a queue, buckets, a release."""
    outputs = {
        "FrontApiEndpoint": f"{account.stub_url}/prod/",
        "GetAPIKeyCommand": f"aws apigateway get-api-keys --query 'items[?id==`{account.key_id}`].value'",
        "sdNotificationLambdaARN": f"arn:aws:sns:{REGION}:{ACCOUNT}:sdfleet-requests",
        "OutputBucket": "sdfleet-output",
        "SdruntimeAutoScalingGroupName": QUEUE,
    }
    for name, values in (("sdfleet-foundation", {}), ("sdfleet", outputs)):
        template = {
            "Resources": {"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": name}}},
            "Outputs": {key: {"Value": value} for key, value in values.items()},
        }
        account.client("cloudformation").create_stack(StackName=name, TemplateBody=json.dumps(template))
    account.client("sqs").create_queue(QueueName=QUEUE)
    account.client("s3").create_bucket(Bucket="sdfleet-output")
    account.client("s3").put_object(Bucket="sdfleet-output", Key="output/a.png", Body=b"a picture")
    inbox = f"sdfleet-inbox-{ACCOUNT}-{REGION}"
    account.client("s3").create_bucket(Bucket=inbox)
    account.client("s3").put_object(Bucket=inbox, Key="inbox/a/1.json", Body=b"{}")
    account.client("ssm").put_parameter(Name="/sdfleet/sdfleet/sdruntime/releases/1", Value="{}", Type="String")
    account.client("ssm").put_parameter(Name="/sdfleet/sdfleet-2/sdruntime/releases/1", Value="{}", Type="String")
    account.client("ecr").create_repository(repositoryName="sdfleet/sdfleet/scheduler")
    account.client("ecr").create_repository(repositoryName="sdfleet/sdfleet-2/scheduler")


def stacks(account: FakeAccount) -> set[str]:
    return {one["StackName"] for one in account.client("cloudformation").describe_stacks()["Stacks"]}


def test_a_removal_leaves_the_pictures_and_what_is_anothers(account: FakeAccount) -> None:
    deployed(account)
    result = sdfleet("destroy", "sdfleet", "--yes")
    assert result.exit_code == 0, result.output
    assert stacks(account) == set()
    assert account.client("s3").list_objects_v2(Bucket="sdfleet-output")["KeyCount"] == 1
    assert account.client("s3").list_objects_v2(Bucket=f"sdfleet-inbox-{ACCOUNT}-{REGION}")["KeyCount"] == 0
    repositories = account.client("ecr").describe_repositories()["repositories"]
    assert [one["repositoryName"] for one in repositories] == ["sdfleet/sdfleet-2/scheduler"]
    parameters = account.client("ssm").get_parameters_by_path(Path="/sdfleet/", Recursive=True)["Parameters"]
    assert [one["Name"] for one in parameters] == ["/sdfleet/sdfleet-2/sdruntime/releases/1"]
    assert "These stay: s3://sdfleet-output" in result.output
    assert "There is no sdfleet" in sdfleet("destroy", "sdfleet", "--yes").output


def test_alarms_that_a_rollout_has_left_go_with_the_deployment_and_anothers_stay(account: FakeAccount) -> None:
    deployed(account)
    account.client("ssm").put_parameter(Name="/sdfleet/sdfleet/sdruntime/image-version", Value="1.0.0", Type="String")
    cloudwatch = account.client("cloudwatch")
    anothers = "sdfleet-2-sdruntime-trial-failures"
    for name in (*names.trial_alarms("sdfleet", "sdruntime")[:2], anothers):
        cloudwatch.put_metric_alarm(
            AlarmName=name,
            Namespace="sdfleet",
            MetricName="TriesFailed",
            Statistic="Sum",
            Period=300,
            EvaluationPeriods=1,
            Threshold=1,
            ComparisonOperator="GreaterThanOrEqualToThreshold",
        )
    result = sdfleet("destroy", "sdfleet", "--yes")
    assert result.exit_code == 0, result.output
    assert [one["AlarmName"] for one in cloudwatch.describe_alarms()["MetricAlarms"]] == [anothers]
    assert "alarm sdfleet-sdruntime-trial-unready" in result.output


def test_a_dry_run_shows_all_of_it_and_removes_nothing(account: FakeAccount) -> None:
    deployed(account)
    result = sdfleet("destroy", "sdfleet", "--dry-run")
    assert result.exit_code == 0, result.output
    assert "stack sdfleet: CREATE_COMPLETE" in result.output
    assert "repository sdfleet/sdfleet/scheduler" in result.output
    assert stacks(account) == {"sdfleet", "sdfleet-foundation"}


def test_nothing_is_removed_while_tasks_are_queued_unless_forced(account: FakeAccount) -> None:
    deployed(account)
    url = account.client("sqs").get_queue_url(QueueName=QUEUE)["QueueUrl"]
    account.client("sqs").send_message(QueueUrl=url, MessageBody="a task")
    refused = sdfleet("destroy", "sdfleet", "--yes")
    assert refused.exit_code == 3
    assert f"1 in {QUEUE}" in refused.output
    assert stacks(account) == {"sdfleet", "sdfleet-foundation"}
    assert sdfleet("destroy", "sdfleet", "--yes", "--force").exit_code == 0


def test_nothing_is_removed_where_nobody_can_be_asked(account: FakeAccount) -> None:
    deployed(account)
    result = sdfleet("destroy", "sdfleet")
    assert result.exit_code == 2
    assert "add --yes" in result.output
    assert stacks(account) == {"sdfleet", "sdfleet-foundation"}


def test_the_list_has_deployments_and_those_that_were_begun(account: FakeAccount) -> None:
    deployed(account)
    template = json.dumps({"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}})
    for name in ("art-foundation", "somebody-elses"):
        account.client("cloudformation").create_stack(StackName=name, TemplateBody=template)
    found = json.loads(sdfleet("list-deployments", "--json").stdout)
    assert [(one["deployment_id"], one["status"]) for one in found] == [
        ("art", "foundation only (CREATE_COMPLETE)"),
        ("sdfleet", "CREATE_COMPLETE"),
    ]


def test_the_test_run_sends_each_type_and_shows_the_links(account: FakeAccount) -> None:
    deployed(account)
    result = sdfleet("verify", "sdfleet", "--json")
    assert result.exit_code == 0, result.output
    assert [(one["tasktype"], one["status"]) for one in json.loads(result.stdout)] == [
        ("text-to-image", "succeeded"),
        ("image-to-image", "succeeded"),
        ("extra-single-image", "succeeded"),
    ]


def test_the_test_run_fails_with_the_service(account: FakeAccount) -> None:
    deployed(account)
    account.task_status = "failed"
    result = sdfleet("verify", "sdfleet")
    assert result.exit_code == 1
    assert "model_not_found" in result.output


def test_a_directory_is_uploaded_as_it_stands(account: FakeAccount, tmp_path: Path) -> None:
    account.client("s3").create_bucket(Bucket="models")
    for name in ("Lora/ink.safetensors", "Stable-diffusion/sub/a.ckpt", "Stable-diffusion/a.preview.png"):
        (tmp_path / "models" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "models" / name).write_bytes(name.encode())
    result = sdfleet("upload-model", "-b", "models", str(tmp_path / "models"))
    assert result.exit_code == 0, result.output
    listed = account.client("s3").list_objects_v2(Bucket="models")["Contents"]
    assert [one["Key"] for one in listed] == ["Lora/ink.safetensors", "Stable-diffusion/sub/a.ckpt"]
    assert sdfleet("upload-model", "-b", "models", str(tmp_path / "models")).output.count("is there already") == 2


def test_a_model_without_a_suffix_is_refused_with_what_to_do(account: FakeAccount, tmp_path: Path) -> None:
    (tmp_path / "civitai").write_bytes(b"a model")
    result = sdfleet("upload-model", "-b", "models", "--folder", "Stable-diffusion", str(tmp_path / "civitai"))
    assert result.exit_code == 1
    assert "--name civitai.ckpt" in result.output


def test_images_are_copied_once(account: FakeAccount) -> None:
    image = "registry.example.com/team/sdwebui:1.0"
    result = sdfleet("transfer-images", image)
    assert result.exit_code == 0, result.output
    target = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/sdfleet/sdwebui:1.0"
    assert [call[-2:] for call in account.calls("skopeo") if call[0] == "copy"] == [
        [f"docker://{image}", f"docker://{target}"]
    ]
    assert target in result.output
    sdfleet("transfer-images", image)
    assert len([call for call in account.calls("skopeo") if call[0] == "copy"]) == 1


def test_an_image_without_a_version_is_refused(account: FakeAccount) -> None:
    result = sdfleet("transfer-images", "registry.example.com:5000/team/sdwebui")
    assert result.exit_code == 1
    assert "names no version" in result.output
