"""What other people's tools see: boto3 alone against the local endpoint, call by call as the User Guide has them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from running_service import RunningService, eventually

GROUP = "local-sdruntime"
HOOK = "local-sdruntime-termination"
#: Three boots on two cores that do something else.
PATIENCE_S = 150.0


@pytest.fixture
def client(local_deployment: RunningService) -> Iterator[Callable[[str], Any]]:
    """Makes clients as a script of the user's would; the group is as it was afterwards."""
    made: list[Any] = []

    def make(service: str) -> Any:
        client: Any = boto3.client(
            service,  # type: ignore[call-overload]
            region_name="us-east-1",
            endpoint_url=local_deployment.outputs["AwsEndpointUrl"],
            aws_access_key_id="any",
            aws_secret_access_key="any",
        )
        made.append(client)
        return client

    yield make
    for one in made:
        one.close()
    eventually(lambda: len(local_deployment.instances_in_service()) == 3, within_s=PATIENCE_S)


def test_boto3_starts_describes_cancels_and_rolls_back_instance_refreshes(client: Callable[[str], Any]) -> None:
    autoscaling, ec2 = client("autoscaling"), client("ec2")
    (group,) = autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[GROUP])["AutoScalingGroups"]
    policy = group["MixedInstancesPolicy"]
    template = policy["LaunchTemplate"]["LaunchTemplateSpecification"]
    # What is described has both, and what is asked for takes one of them.
    del template["LaunchTemplateName"]
    release = {"ResourceType": "instance", "Tags": [{"Key": "sdfleet-release", "Value": "1.0.0-boto3"}]}
    version = ec2.create_launch_template_version(
        LaunchTemplateId=template["LaunchTemplateId"],
        SourceVersion=template["Version"],
        LaunchTemplateData={"TagSpecifications": [release]},
    )["LaunchTemplateVersion"]["VersionNumber"]
    specification = {"LaunchTemplateId": template["LaunchTemplateId"], "Version": str(version)}
    desired = {
        "MixedInstancesPolicy": {
            **policy,
            "LaunchTemplate": {**policy["LaunchTemplate"], "LaunchTemplateSpecification": specification},
        }
    }

    def newest() -> Any:
        return autoscaling.describe_instance_refreshes(AutoScalingGroupName=GROUP, MaxRecords=1)["InstanceRefreshes"][0]

    def start(configuration: Any) -> str:
        answer = autoscaling.start_instance_refresh(
            AutoScalingGroupName=GROUP,
            Strategy="Rolling",
            DesiredConfiguration=configuration,
            Preferences={"MinHealthyPercentage": 100, "MaxHealthyPercentage": 200},
        )
        return str(answer["InstanceRefreshId"])

    first = start(desired)
    with pytest.raises(ClientError) as refused:
        start(desired)
    assert refused.value.response["Error"]["Code"] == "InstanceRefreshInProgress"
    assert autoscaling.rollback_instance_refresh(AutoScalingGroupName=GROUP)["InstanceRefreshId"] == first
    eventually(lambda: newest()["Status"] == "RollbackSuccessful", within_s=PATIENCE_S)

    # To what the instances are anyway: whatever it has replaced by then is the same.
    second = start({"MixedInstancesPolicy": policy})
    assert newest()["InstanceRefreshId"] == second
    assert autoscaling.cancel_instance_refresh(AutoScalingGroupName=GROUP)["InstanceRefreshId"] == second
    eventually(lambda: newest()["Status"] == "Cancelled", within_s=PATIENCE_S)
    with pytest.raises(ClientError) as over:
        autoscaling.cancel_instance_refresh(AutoScalingGroupName=GROUP)
    assert over.value.response["Error"]["Code"] == "ActiveInstanceRefreshNotFound"


def test_boto3_completes_the_termination_hook_of_an_instance(
    local_deployment: RunningService, client: Callable[[str], Any]
) -> None:
    autoscaling = client("autoscaling")
    instance = local_deployment.instances_in_service()[0]
    instance_id = str(instance["instance_id"])
    with pytest.raises(ClientError, match="No active Lifecycle Action found"):
        autoscaling.complete_lifecycle_action(
            AutoScalingGroupName=GROUP,
            LifecycleHookName=HOOK,
            LifecycleActionResult="CONTINUE",
            InstanceId=instance_id,
        )
    # Stopped in its tracks, it does not do so by itself.
    pid = int(instance["pid"])
    os.kill(pid, signal.SIGSTOP)
    try:
        autoscaling.terminate_instance_in_auto_scaling_group(
            InstanceId=instance_id, ShouldDecrementDesiredCapacity=False
        )
        autoscaling.complete_lifecycle_action(
            AutoScalingGroupName=GROUP,
            LifecycleHookName=HOOK,
            LifecycleActionResult="CONTINUE",
            InstanceId=instance_id,
        )
    finally:
        os.kill(pid, signal.SIGCONT)
    eventually(
        lambda: instance_id not in {one["instance_id"] for one in local_deployment.instances()}, within_s=PATIENCE_S
    )
