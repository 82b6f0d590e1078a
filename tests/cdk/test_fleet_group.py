"""The groups of the fleets and how their instances are launched."""

from __future__ import annotations

from typing import Any

import pytest

from cdk_fleet_bench import WEBUI, fleet_template, plain, with_fleet
from sdfleet.domain.trial import LIMITS_PARAMETER

GROUP = "AWS::AutoScaling::AutoScalingGroup"
ROLE = "AWS::IAM::Role"


def test_a_fleet_is_on_spot_unless_told_otherwise() -> None:
    distribution = fleet_template().one(GROUP)["MixedInstancesPolicy"]["InstancesDistribution"]
    assert distribution == {
        "OnDemandAllocationStrategy": "lowest-price",
        "OnDemandBaseCapacity": 0,
        "OnDemandPercentageAboveBaseCapacity": 0,
        "SpotAllocationStrategy": "price-capacity-optimized",
    }


def test_on_demand_instances_are_as_many_as_configured() -> None:
    template = fleet_template(modelsRuntime=with_fleet(onDemandBase=1, onDemandPercentage=25, maxSize=8))
    group = template.one(GROUP)
    distribution = group["MixedInstancesPolicy"]["InstancesDistribution"]
    assert distribution["OnDemandBaseCapacity"] == 1
    assert distribution["OnDemandPercentageAboveBaseCapacity"] == 25
    assert (group["MinSize"], group["MaxSize"]) == ("0", "8")


def test_a_group_asks_for_several_types_and_replaces_spot_instances_before_they_go() -> None:
    group = fleet_template().one(GROUP)
    types = [one["InstanceType"] for one in group["MixedInstancesPolicy"]["LaunchTemplate"]["Overrides"]]
    assert len(types) >= 4
    assert group["CapacityRebalance"] is True


def test_a_deployment_never_sets_the_number_of_instances() -> None:
    assert "DesiredCapacity" not in fleet_template().one(GROUP)


def test_the_version_of_the_launch_template_is_what_the_last_release_has_left() -> None:
    template = fleet_template()
    specification = template.one(GROUP)["MixedInstancesPolicy"]["LaunchTemplate"]["LaunchTemplateSpecification"]
    parameter = template.parameters[specification["Version"]["Ref"]]
    assert parameter["Type"] == "AWS::SSM::Parameter::Value<String>"
    assert parameter["Default"] == "/sdfleet/sdfleet/sdruntime/launch-template-version"


def test_the_parameters_of_a_release_are_made_with_constants_and_begin_without_a_release() -> None:
    made = {one["Name"].rsplit("/", 1)[-1]: one["Value"] for one in fleet_template().of_type("AWS::SSM::Parameter")}
    # The configuration's: no release writes it.
    del made[LIMITS_PARAMETER]
    assert made == {
        "image-version": "unreleased",
        "previous-version": "unreleased",
        "deployment-status": "stable",
        "rollout": "{}",
        "launch-template-version": "1",
    }


def test_hooks_hold_the_first_instances_too() -> None:
    hooks = fleet_template().one(GROUP)["LifecycleHookSpecificationList"]
    assert hooks == [
        {
            "LifecycleHookName": "sdfleet-sdruntime-launch",
            "LifecycleTransition": "autoscaling:EC2_INSTANCE_LAUNCHING",
            "HeartbeatTimeout": 1200,
            "DefaultResult": "ABANDON",
        },
        {
            "LifecycleHookName": "sdfleet-sdruntime-termination",
            "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING",
            "HeartbeatTimeout": 720,
            "DefaultResult": "CONTINUE",
        },
    ]


def test_what_an_instance_may_do_is_granted_before_the_group_launches_one() -> None:
    template = fleet_template()
    (group,) = [one for one in template.resources.values() if one["Type"] == GROUP]
    roles = [name for name, one in template.resources.items() if one["Type"] == ROLE]
    routes = [name for name, one in template.resources.items() if one["Type"] == "AWS::EC2::Route"]
    assert set(roles) | set(routes) <= set(group["DependsOn"])


def test_metadata_is_for_the_host_alone_and_shows_the_tags() -> None:
    assert fleet_template().launch_data["MetadataOptions"] == {
        "HttpEndpoint": "enabled",
        "HttpTokens": "required",
        "HttpPutResponseHopLimit": 1,
        "InstanceMetadataTags": "enabled",
    }


def test_an_instance_learns_release_and_images_from_its_tags() -> None:
    (instance,) = [
        one for one in fleet_template().launch_data["TagSpecifications"] if one["ResourceType"] == "instance"
    ]
    tags = {tag["Key"]: plain(tag["Value"]) for tag in instance["Tags"]}
    registry = "123456789012.dkr.ecr.us-west-2.<AWS::URLSuffix>/sdfleet/sdfleet"
    version = tags["sdfleet-release"]
    assert tags["sdfleet-scheduler-image"] == f"{registry}/scheduler:{version}"
    assert tags["sdfleet-runtime-image"] == f"{registry}/sdruntime:{version}"


def test_no_tag_has_a_key_that_metadata_cannot_show() -> None:
    template = fleet_template(tags={"team": "art", "cost-centre": "42"})
    keys = [tag["Key"] for one in template.launch_data["TagSpecifications"] for tag in one["Tags"]]
    keys += [tag["Key"] for tag in template.one(GROUP)["Tags"]]
    assert "team" in keys
    assert not [key for key in keys if "/" in key or " " in key]


def test_the_groups_tags_leave_the_release_to_the_launch_template() -> None:
    keys = [tag["Key"] for tag in fleet_template().one(GROUP)["Tags"]]
    assert not [key for key in keys if key.startswith("sdfleet-release") or key.endswith("-image")]


def test_images_from_elsewhere_are_taken_by_their_names() -> None:
    images = {"runtime": "registry.example.com:5000/webui:1.2", "scheduler": "public.ecr.aws/x/scheduler:3"}
    template = fleet_template(modelsRuntime=[{**WEBUI, "images": images}])
    (instance,) = [one for one in template.launch_data["TagSpecifications"] if one["ResourceType"] == "instance"]
    tags = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
    assert tags["sdfleet-runtime-image"] == images["runtime"]
    assert tags["sdfleet-scheduler-image"] == images["scheduler"]
    assert template.of_type("AWS::ECR::Repository") == []


def test_every_volume_is_encrypted_and_goes_with_its_instance() -> None:
    template = fleet_template(modelsRuntime=with_fleet(volume={"snapshotId": "snap-0123456789"}))
    root, data = template.launch_data["BlockDeviceMappings"]
    assert root["Ebs"] == {
        "Encrypted": True,
        "DeleteOnTermination": True,
        "VolumeSize": 80,
        "VolumeType": "gp3",
        "Throughput": 300,
        "VolumeInitializationRate": 300,
    }
    assert data["Ebs"] == {**root["Ebs"], "SnapshotId": "snap-0123456789"}
    assert data["DeviceName"] == "/dev/sdf"


def test_without_a_snapshot_there_is_one_volume() -> None:
    assert len(fleet_template().launch_data["BlockDeviceMappings"]) == 1


def test_the_stock_ami_is_resolved_to_an_id_before_it_reaches_the_template() -> None:
    template = fleet_template()
    parameter = template.parameters[template.launch_data["ImageId"]["Ref"]]
    assert parameter["Type"] == "AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>"
    assert parameter["Default"].startswith("/aws/service/deeplearning/ami/x86_64/")


def test_an_ami_of_the_users_own_is_taken_as_it_is() -> None:
    template = fleet_template(modelsRuntime=with_fleet(amiId="ami-0123456789abcdef0"))
    assert template.launch_data["ImageId"] == "ami-0123456789abcdef0"


def test_nobody_gets_in_by_ssh() -> None:
    assert "KeyName" not in fleet_template().launch_data


@pytest.mark.parametrize(
    ("sid", "actions"),
    [
        (
            "Group",
            [
                "autoscaling:CompleteLifecycleAction",
                "autoscaling:RecordLifecycleActionHeartbeat",
                "autoscaling:SetInstanceHealth",
            ],
        ),
        ("Records", ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"]),
        ("Notices", "sns:Publish"),
    ],
)
def test_an_instance_may_do_its_work(sid: str, actions: object) -> None:
    statements = {one["Sid"]: one for one in _statements()}
    assert statements[sid]["Action"] == actions


def test_an_instance_acts_on_its_own_group_and_queue_only() -> None:
    statements = {one["Sid"]: one for one in _statements()}
    assert plain(statements["Group"]["Resource"]).endswith(":autoScalingGroup:*:autoScalingGroupName/sdfleet-sdruntime")
    assert plain(statements["Messages"]["Resource"]).endswith(":sdfleet-sdruntime")


def test_no_action_of_an_instance_is_a_wildcard() -> None:
    for statement in _statements():
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        assert not [action for action in actions if "*" in action]


def test_a_metric_of_an_instance_can_only_be_ours() -> None:
    (metrics,) = [one for one in _statements() if one["Sid"] == "Metrics"]
    assert metrics["Condition"] == {"StringEquals": {"cloudwatch:namespace": "sdfleet"}}


def test_in_china_no_name_is_of_the_other_partition() -> None:
    template = fleet_template(
        region="cn-northwest-1",
        modelBucketArn="arn:aws-cn:s3:::models",
        modelsRuntime=with_fleet(instanceTypes=["g4dn.xlarge", "g4dn.2xlarge"]),
    )
    assert "arn:aws:" not in str(template.resources)


def test_an_image_of_ours_is_never_replaced_and_always_scanned() -> None:
    repositories = fleet_template().of_type("AWS::ECR::Repository")
    assert sorted(one["RepositoryName"] for one in repositories) == [
        "sdfleet/sdfleet/scheduler",
        "sdfleet/sdfleet/sdruntime",
    ]
    for repository in repositories:
        assert repository["ImageTagMutability"] == "IMMUTABLE"
        assert repository["ImageScanningConfiguration"] == {"ScanOnPush": True}
        assert "LifecyclePolicy" in repository


def _statements() -> list[dict[str, Any]]:
    template = fleet_template(modelBucketArn="arn:aws:s3:::models")
    role = template.one(ROLE)
    return [statement for policy in role["Policies"] for statement in policy["PolicyDocument"]["Statement"]]
