"""Both stacks of two runtimes, deployed by the real `cdk deploy` into the embedded AWS endpoint.

The endpoint's CloudFormation (moto 5.2.5) does not make every type. `SKIPPED` and `ADAPTED` are all that is changed in
the copy of the templates that is deployed; what is left has to be there afterwards. Group hooks are among the
properties that moto's group drops; tests/cdk/test_fleet_group.py has them.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from cdk_templates import templates

ROOT = Path(__file__).parents[2]
STACKS = ("Pictures-foundation", "Pictures")
REGION = "us-west-2"
ACCOUNT = "123456789012"
NOT_SUPPORTED = "moto's CloudFormation has no such type"
#: By type, why moto cannot make it.
SKIPPED: Mapping[str, str] = {
    "AWS::ApiGateway::ApiKey": NOT_SUPPORTED,
    "AWS::ApiGateway::Deployment": "moto makes it before the methods that it depends on, and refuses it for that",
    "AWS::ApiGateway::GatewayResponse": NOT_SUPPORTED,
    "AWS::ApiGateway::Stage": NOT_SUPPORTED,
    "AWS::ApiGateway::UsagePlan": NOT_SUPPORTED,
    "AWS::ApiGateway::UsagePlanKey": NOT_SUPPORTED,
    "AWS::AutoScaling::ScalingPolicy": NOT_SUPPORTED,
    "AWS::CloudFront::Distribution": NOT_SUPPORTED,
    "AWS::CloudFront::KeyGroup": NOT_SUPPORTED,
    "AWS::CloudFront::OriginAccessControl": NOT_SUPPORTED,
    "AWS::CloudFront::PublicKey": NOT_SUPPORTED,
    "AWS::CloudWatch::Alarm": NOT_SUPPORTED,
    "AWS::CodeBuild::Project": NOT_SUPPORTED,
    "AWS::EC2::KeyPair": NOT_SUPPORTED,
    "AWS::S3::BucketPolicy": NOT_SUPPORTED,
    "AWS::SNS::Subscription": NOT_SUPPORTED,
    "AWS::SNS::TopicPolicy": NOT_SUPPORTED,
    "AWS::SQS::QueuePolicy": NOT_SUPPORTED,
    "AWS::XRay::SamplingRule": NOT_SUPPORTED,
    "Custom::LinkPublicKey": "its function would have to run in a container",
}
STOCK_AMI = "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-amazon-linux-2023/latest/ami-id"
OWN_AMI = "/stock/ami-id"
#: What is changed in resources that are made.
ADAPTED: Mapping[str, str] = {
    "Tags of AWS::SSM::Parameter": "moto takes the map of them for a list",
    f"{STOCK_AMI} -> {OWN_AMI}": "nobody but AWS can write a parameter below /aws",
    # moto takes a template's bucket from the address's path only if "localhost" is somewhere in it.
    "qualifier hnb659fds -> localhost": "moto does not find the template in a bucket of an endpoint at an address",
}


@dataclass(frozen=True)
class Deployment:
    url: str
    templates: Mapping[str, Any]
    skipped: Counter[str]
    output: str

    def client(self, service: str) -> Any:
        return client(self.url, service)

    def of_type(self, kind: str) -> list[Mapping[str, Any]]:
        """Properties of all deployed resources of a type."""
        return [
            one.get("Properties", {})
            for template in self.templates.values()
            for one in template["Resources"].values()
            if one["Type"] == kind
        ]

    def names(self, kind: str, key: str) -> set[str]:
        return {one[key] for one in self.of_type(kind)}


def client(url: str, service: str) -> Any:
    # Its types know a service by its literal name only.
    make: Any = boto3.client
    return make(service, endpoint_url=url, region_name=REGION, aws_access_key_id="test", aws_secret_access_key="test")


def adapted(value: Any, gone: set[str]) -> Any:
    """Without references to what is not made."""
    match value:
        case list():
            return [adapted(one, gone) for one in value]
        case {"Ref": str(name)} | {"Fn::GetAtt": [str(name), _]} if name in gone:
            return f"not-made-{name}"
        case dict():
            return {key: adapted(one, gone) for key, one in value.items()}
    return value


def adapt(template: dict[str, Any]) -> Counter[str]:
    """Leave what moto can make; how many resources of each type are taken out."""
    resources = template["Resources"]
    gone = {name for name, one in resources.items() if one["Type"] in SKIPPED}
    skipped = Counter(resources[name]["Type"] for name in gone)
    template["Resources"] = {name: adapted(one, gone) for name, one in resources.items() if name not in gone}
    if "Outputs" in template:
        template["Outputs"] = adapted(template["Outputs"], gone)
    for one in template["Resources"].values():
        if one["Type"] == "AWS::SSM::Parameter":
            one["Properties"].pop("Tags", None)
        before = one.pop("DependsOn", [])
        if left := [name for name in ([before] if isinstance(before, str) else before) if name not in gone]:
            one["DependsOn"] = left
    return skipped


def cdk_command(directory: Path) -> Path:
    """The pinned command line: the checkout's, else npm's into a temporary copy."""
    own = ROOT / "cdk/node_modules/.bin/cdk"
    if own.is_file():
        return own
    for name in ("package.json", "package-lock.json"):
        shutil.copy(ROOT / "cdk" / name, directory)
    npm = shutil.which("npm")
    reason = "npm is not installed"
    if npm is not None:
        try:
            subprocess.run([npm, "ci", "--no-audit"], cwd=directory, capture_output=True, timeout=120, check=True)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            reason = f"npm cannot fetch the CDK's command line: {error}"
        else:
            return directory / "node_modules/.bin/cdk"
    # Locally a convenience, in CI a hole: like the gates.
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    cdk = cdk_command(tmp_path_factory.mktemp("cdk"))
    assembly = tmp_path_factory.mktemp("assembly") / "cdk.out"
    shutil.copytree(templates("two-runtimes").directory, assembly)
    for file in assembly.glob("*.json"):
        file.write_text(file.read_text().replace("hnb659fds", "localhost").replace(STOCK_AMI, OWN_AMI))
    skipped: Counter[str] = Counter()
    for name in STACKS:
        file = assembly / f"{name}.template.json"
        template = json.loads(file.read_text())
        skipped += adapt(template)
        file.write_text(json.dumps(template))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with (tmp_path_factory.mktemp("endpoint") / "log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "sdfleet_local.aws_endpoint", "--port", str(port)], stdout=log, stderr=log
        )
    try:
        _wait_for(port, server)
        # What `cdk bootstrap --qualifier localhost` leaves, and AWS's image.
        client(url, "s3").create_bucket(
            Bucket=f"cdk-localhost-assets-{ACCOUNT}-{REGION}",
            CreateBucketConfiguration={"LocationConstraint": REGION},
        )
        for name, value in (("/cdk-bootstrap/localhost/version", "30"), (OWN_AMI, "ami-0123456789abcdef0")):
            client(url, "ssm").put_parameter(Name=name, Value=value, Type="String")
        output = _deploy(cdk, assembly, url)
        whole = {name: json.loads((assembly / f"{name}.template.json").read_text()) for name in STACKS}
        yield Deployment(url, whole, skipped, output)
    finally:
        server.terminate()
        server.wait(10)


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert server.poll() is None, "the endpoint has ended"
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail("the endpoint does not listen")


def _deploy(cdk: Path, assembly: Path, url: str) -> str:
    """As docs/operations/deploying.md has it: a bare `cdk deploy`, which `CDK_ALL` tells to take both stacks."""
    options = ("--require-approval", "never", "--progress", "events", "--no-notices")
    deployed = subprocess.run(
        [cdk, "deploy", "--app", str(assembly), *options],
        cwd=assembly,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            "CDK_ALL": "true",
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "CDK_DISABLE_CLI_TELEMETRY": "true",
        },
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert deployed.returncode == 0, deployed.stdout[-3000:] + deployed.stderr[-3000:]
    return deployed.stdout + deployed.stderr


def test_one_command_deploys_both_stacks_and_the_foundation_first(deployment: Deployment) -> None:
    first, second = (deployment.output.index(f"{name}: creating CloudFormation changeset") for name in STACKS)
    assert first < second


def test_what_is_skipped_is_listed(deployment: Deployment) -> None:
    for kind, count in sorted(deployment.skipped.items()):
        print(f"skipped: {count} x {kind}: {SKIPPED[kind]}")  # noqa: T201  the list is for a reader, too
    for what, reason in ADAPTED.items():
        print(f"adapted: {what}: {reason}")  # noqa: T201
    assert set(deployment.skipped) == set(SKIPPED)


def test_every_other_resource_is_made(deployment: Deployment) -> None:
    formation = deployment.client("cloudformation")
    for name in STACKS:
        (stack,) = formation.describe_stacks(StackName=name)["Stacks"]
        assert stack["StackStatus"] == "CREATE_COMPLETE"
        pages = formation.get_paginator("list_stack_resources").paginate(StackName=name)
        made = {one["LogicalResourceId"] for page in pages for one in page["StackResourceSummaries"]}
        assert set(deployment.templates[name]["Resources"]) <= made


def test_queues_hide_messages_and_hand_on_what_fails(deployment: Deployment) -> None:
    sqs = deployment.client("sqs")
    wanted = {one["QueueName"]: one for one in deployment.of_type("AWS::SQS::Queue")}
    assert {"Pictures-sdruntime", "Pictures-comfy-flow"} < set(wanted)
    for name, properties in wanted.items():
        url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        if not name.endswith("-dead-letters"):
            assert found["VisibilityTimeout"] == str(properties["VisibilityTimeout"])
            redrive = json.loads(found["RedrivePolicy"])
            assert redrive["deadLetterTargetArn"].endswith(f":{name}-dead-letters")
            assert int(redrive["maxReceiveCount"]) == properties["RedrivePolicy"]["maxReceiveCount"]


def test_topics_buckets_and_the_table_are_there(deployment: Deployment) -> None:
    topics = {one["TopicArn"].rsplit(":", 1)[1] for one in deployment.client("sns").list_topics()["Topics"]}
    assert deployment.names("AWS::SNS::Topic", "TopicName") <= topics
    buckets = {one["Name"] for one in deployment.client("s3").list_buckets()["Buckets"]}
    assert len(buckets) == len(deployment.of_type("AWS::S3::Bucket")) + 1
    table = deployment.client("dynamodb").describe_table(TableName="Pictures-tasks")["Table"]
    assert table["KeySchema"] == [{"AttributeName": "pk", "KeyType": "HASH"}]
    assert [index["IndexName"] for index in table["GlobalSecondaryIndexes"]] == ["due"]


def test_functions_roles_and_parameters_are_there(deployment: Deployment) -> None:
    functions = deployment.client("lambda").list_functions()["Functions"]
    assert len(functions) == len(deployment.of_type("AWS::Lambda::Function"))
    roles = {one["RoleName"] for one in deployment.client("iam").list_roles()["Roles"]}
    assert len(roles) >= len(deployment.of_type("AWS::IAM::Role"))
    assert {one["Role"].rsplit("/", 1)[1] for one in functions} <= roles
    pages = deployment.client("ssm").get_paginator("describe_parameters").paginate()
    parameters = {one["Name"] for page in pages for one in page["Parameters"]}
    assert deployment.names("AWS::SSM::Parameter", "Name") <= parameters


def test_nothing_comes_in_to_the_network(deployment: Deployment) -> None:
    ec2 = deployment.client("ec2")
    ours = [{"Name": "tag:sdfleet-deployment", "Values": ["Pictures"]}]
    (vpc,) = ec2.describe_vpcs(Filters=ours)["Vpcs"]
    of_vpc = [{"Name": "vpc-id", "Values": [vpc["VpcId"]]}]
    subnets = ec2.describe_subnets(Filters=of_vpc)["Subnets"]
    assert len({one["AvailabilityZone"] for one in subnets}) == 3
    (group,) = ec2.describe_security_groups(Filters=[*ours, *of_vpc])["SecurityGroups"]
    assert group["IpPermissions"] == []


def test_each_runtime_has_a_group_of_its_launch_template(deployment: Deployment) -> None:
    launch_templates = deployment.client("ec2").describe_launch_templates()["LaunchTemplates"]
    assert len(launch_templates) == 2
    groups = deployment.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    assert {one["AutoScalingGroupName"] for one in groups} == {"Pictures-sdruntime", "Pictures-comfy-flow"}
    used = set()
    for group in groups:
        assert (group["MinSize"], group["MaxSize"]) == (0, 5)
        assert len(group["VPCZoneIdentifier"].split(",")) == 3
        specification = group["MixedInstancesPolicy"]["LaunchTemplate"]["LaunchTemplateSpecification"]
        used.add(specification["LaunchTemplateId"])
    assert used == {one["LaunchTemplateId"] for one in launch_templates}
