"""What holds for every deployment, whatever its configuration."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import aws_cdk as cdk
import pytest

from cdk_templates import VARIANTS, flat, templates
from sdfleet_cdk.handlers import BATCH_SIZE
from sdfleet_cdk.lambda_asset import copy_package

FUNCTION = "AWS::Lambda::Function"
QUEUE = "AWS::SQS::Queue"
BUCKET = "AWS::S3::Bucket"
MAPPING = "AWS::Lambda::EventSourceMapping"
LOG_GROUP = "AWS::Logs::LogGroup"

every_variant = pytest.mark.parametrize("variant", VARIANTS)


@every_variant
def test_no_partition_is_written_out(variant: str) -> None:
    for template in (templates(variant).foundation, templates(variant).service):
        assert "arn:aws" not in json.dumps(template)


@every_variant
def test_nothing_is_shared_between_the_stacks_that_could_not_be_removed_later(variant: str) -> None:
    made = templates(variant)
    assert "Outputs" not in made.foundation
    assert "Fn::ImportValue" not in json.dumps(made.service)


@every_variant
def test_every_bucket_is_private_encrypted_and_closed_to_plain_http(variant: str) -> None:
    made = templates(variant)
    buckets = list(made.resources(BUCKET))
    assert buckets
    for bucket in buckets:
        access = bucket.properties["PublicAccessBlockConfiguration"]
        assert set(access) == {"BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"}
        assert all(access.values())
        assert "BucketEncryption" in bucket.properties
        assert "Multipart" in json.dumps(bucket.properties["LifecycleConfiguration"])
        policies = [
            one.properties["PolicyDocument"]["Statement"]
            for one in made.resources("AWS::S3::BucketPolicy")
            if one.properties["Bucket"] == {"Ref": bucket.logical_id}
        ]
        denials = [one for policy in policies for one in policy if one["Effect"] == "Deny"]
        assert {"Bool": {"aws:SecureTransport": "false"}} in [one["Condition"] for one in denials]


@every_variant
def test_nobody_is_allowed_anything_without_a_condition_who_is_not_named(variant: str) -> None:
    for one in templates(variant).resources():
        for statement in one.properties.get("PolicyDocument", {}).get("Statement", ()):
            if statement["Effect"] == "Allow":
                assert statement["Principal"] not in ("*", {"AWS": "*"})


@every_variant
def test_every_queue_keeps_messages_for_14_days_and_has_dead_letters(variant: str) -> None:
    queues = templates(variant).named(QUEUE, "QueueName")
    for name, queue in queues.items():
        assert queue["MessageRetentionPeriod"] == 14 * 24 * 3600
        assert queue["SqsManagedSseEnabled"] is True
        assert ("RedrivePolicy" in queue) is not name.endswith("-dead-letters")
    assert {f"{name}-dead-letters" for name in queues if not name.endswith("-dead-letters")} < set(queues)


@every_variant
def test_a_queue_hides_a_message_for_longer_than_its_function_may_take(variant: str) -> None:
    made = templates(variant)
    queues = made.named(QUEUE, "QueueName")
    functions = {one.logical_id: one.properties for one in made.resources(FUNCTION)}
    mappings = list(made.resources(MAPPING))
    assert mappings
    for mapping in mappings:
        name = flat(mapping.properties["EventSourceArn"]).rsplit(":", 1)[-1]
        function = functions[mapping.properties["FunctionName"]["Ref"]]
        assert queues[name]["VisibilityTimeout"] >= 6 * function["Timeout"]
        assert mapping.properties["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert mapping.properties["BatchSize"] == BATCH_SIZE


@every_variant
def test_a_fleets_queue_hides_a_message_for_longer_than_the_lease(variant: str) -> None:
    made = templates(variant)
    queues = made.named(QUEUE, "QueueName")
    groups = made.named("AWS::AutoScaling::AutoScalingGroup", "AutoScalingGroupName")
    assert groups
    for name in groups:
        # `SchedulerEnvironment.visibility_s`: 20 s.
        assert queues[name]["VisibilityTimeout"] > 20
        assert json.loads(json.dumps(queues[name]["RedrivePolicy"]))["maxReceiveCount"] >= 100


@every_variant
def test_every_function_has_its_limits_its_own_role_and_logs_that_end(variant: str) -> None:
    made = templates(variant)
    groups = {one.logical_id: one.properties for one in made.resources(LOG_GROUP)}
    functions = list(made.resources(FUNCTION))
    for function in functions:
        properties = function.properties
        assert 0 < properties["Timeout"] <= 120
        assert properties["MemorySize"] >= 256
        assert properties["Architectures"] == ["arm64"]
        assert properties["Runtime"] >= "python3.12"
        assert groups[properties["LoggingConfig"]["LogGroup"]["Ref"]]["RetentionInDays"] == 30
    roles = [json.dumps(function.properties["Role"]) for function in functions]
    assert len(set(roles)) == len(roles)


@every_variant
def test_all_logs_end(variant: str) -> None:
    assert all("RetentionInDays" in one.properties for one in templates(variant).resources(LOG_GROUP))


@every_variant
def test_all_functions_are_one_package(variant: str) -> None:
    keys = {flat(one.properties["Code"]["S3Key"]) for one in templates(variant).resources(FUNCTION)}
    assert len(keys) == 1


def test_every_handler_that_a_function_names_is_in_the_package_without_what_slows_its_start() -> None:
    made = templates("default")
    modules = sorted({one.properties["Handler"].removesuffix(".handler") for one in made.resources(FUNCTION)})
    (package,) = [path for path in made.directory.glob("asset.*") if (path / "sdfleet_lambdas").is_dir()]
    program = (
        "import importlib, sys; package = sys.argv[1]; sys.path.insert(0, package)\n"
        "for name in sys.argv[2:]:\n"
        "    module = importlib.import_module(name)\n"
        "    assert callable(module.handler) and module.__file__.startswith(package), module\n"
        "slow = {'pydantic', 'yaml', 'fastapi', 'sdfleet.config', 'sdfleet.memory'} & set(sys.modules)\n"
        "assert not slow, slow\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, str(package), *modules],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert not (package / "sdfleet" / "config").exists()
    assert not (package / "sdfleet" / "memory").exists()


def test_the_package_has_the_same_name_wherever_and_whenever_it_is_made(tmp_path: Path) -> None:
    checkout = Path(__file__).parents[2]
    for room in ("src/sdfleet", "lambdas/sdfleet_lambdas"):
        shutil.copytree(checkout / room, tmp_path / "clone" / room)
    for file in (tmp_path / "clone").rglob("*"):
        os.utime(file, (0, 0))
    copy_package(tmp_path / "here", root=tmp_path / "clone")
    (tmp_path / "clone" / "src" / "sdfleet" / "config" / "model.py").write_text("")
    (tmp_path / "clone" / "src" / "sdfleet" / "stray.pyc").write_text("")
    copy_package(tmp_path / "there", root=tmp_path / "clone")
    fingerprints = {cdk.FileSystem.fingerprint(str(tmp_path / place)) for place in ("here", "there")}
    assert len(fingerprints) == 1


def test_cfn_lint_finds_no_error_in_any_template() -> None:
    tool = Path(sys.executable).parent / "cfn-lint"
    if not tool.exists() and os.environ.get("CI", "").lower() != "true":
        pytest.skip("cfn-lint is not installed")
    # Most variants share a foundation.
    files = {file.read_bytes(): str(file) for variant in VARIANTS for file in templates(variant).files}
    run = subprocess.run(
        [str(tool), "-i", "W3005", "--non-zero-exit-code", "error", *files.values()],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
