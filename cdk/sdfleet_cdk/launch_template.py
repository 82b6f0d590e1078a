"""How a fleet's instances are launched. CloudFormation owns the base version; releases make numbered ones from it.

A version says all that an instance is: AMI, container images and release (as tags, which the instance reads from its
own metadata), disks, role, user data. A release takes the newest version described as `base`, and changes AMI and tags.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from aws_cdk import CfnParameter, CfnTag, Fn, Stack, Token
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from constructs import Construct

from sdfleet.config import RuntimeConfig
from sdfleet.config.fleet import VolumeConfig, VolumeType
from sdfleet.domain import names
from sdfleet.domain.task import RuntimeType
from sdfleet_cdk import boot
from sdfleet_cdk.context import DeploymentContext
from sdfleet_cdk.network import Network
from sdfleet_cdk.release_parameters import IMAGE_VERSION, current_value

#: Description of the versions that CloudFormation makes.
BASE_VERSION = "base"
#: AWS's Deep Learning Base AMI: NVIDIA driver and container toolkit, docker, CloudWatch agent (DLAMI release notes).
STOCK_AMI = "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-amazon-linux-2023/latest/ami-id"
#: Amazon Linux's; an AMI of the user's needs its root there too.
_ROOT_DEVICE = "/dev/xvda"
#: EC2 User Guide, "Tag your Amazon EC2 resources".
_LONGEST_TAG = 256


class FleetLaunchTemplate(Construct):
    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        context: DeploymentContext,
        runtime: RuntimeConfig,
        network: Network,
        profile: iam.CfnInstanceProfile,
    ) -> None:
        super().__init__(scope, construct_id)
        fleet = names.fleet_name(context.deployment_id, runtime.name)
        plain_tags = {**context.config.tags, "Name": fleet}
        self.template = ec2.CfnLaunchTemplate(
            self,
            "Template",
            launch_template_name=fleet,
            version_description=BASE_VERSION,
            launch_template_data=ec2.CfnLaunchTemplate.LaunchTemplateDataProperty(
                image_id=self._ami(runtime),
                iam_instance_profile=ec2.CfnLaunchTemplate.IamInstanceProfileProperty(arn=profile.attr_arn),
                # Version 2 only, answers go no further than the host: no container on a bridge gets them.
                metadata_options=ec2.CfnLaunchTemplate.MetadataOptionsProperty(
                    http_endpoint="enabled",
                    http_tokens="required",
                    http_put_response_hop_limit=1,
                    instance_metadata_tags="enabled",
                ),
                network_interfaces=[
                    ec2.CfnLaunchTemplate.NetworkInterfaceProperty(
                        device_index=0,
                        associate_public_ip_address=network.has_public_addresses,
                        groups=[network.security_group.attr_group_id],
                        delete_on_termination=True,
                    )
                ],
                block_device_mappings=_volumes(runtime.fleet.volume),
                user_data=Fn.base64(self._user_data(context, runtime)),
                tag_specifications=[
                    ec2.CfnLaunchTemplate.TagSpecificationProperty(
                        resource_type=kind, tags=[CfnTag(key=key, value=value) for key, value in tags.items()]
                    )
                    for kind, tags in (
                        ("instance", {**plain_tags, **self._release_tags(context, runtime)}),
                        ("volume", plain_tags),
                    )
                ],
            ),
        )

    @property
    def template_id(self) -> str:
        return self.template.ref

    def _ami(self, runtime: RuntimeConfig) -> str:
        if runtime.fleet.ami_id is not None:
            return runtime.fleet.ami_id
        # The id itself reaches the template: an alias in a launch template cannot be rolled back to.
        return CfnParameter(
            self,
            "Ami",
            type="AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>",
            default=STOCK_AMI,
            description=f"{runtime.name}: the AMI before its first release with one of its own.",
        ).value_as_string

    def _release_tags(self, context: DeploymentContext, runtime: RuntimeConfig) -> Mapping[str, str]:
        version = current_value(
            self, "ImageVersion", deployment_id=context.deployment_id, runtime=runtime.name, name=IMAGE_VERSION
        )
        images = {names.SCHEDULER_IMAGE_TAG: runtime.images.scheduler or self._own_image(context, "scheduler", version)}
        if runtime.type is not RuntimeType.TEST_PATTERN:
            images[names.RUNTIME_IMAGE_TAG] = runtime.images.runtime or self._own_image(context, runtime.name, version)
        for image in images.values():
            if not Token.is_unresolved(image) and len(image) > _LONGEST_TAG:
                raise ValueError(f"{image} is longer than the {_LONGEST_TAG} characters of a tag; use a shorter name.")
        return {names.RELEASE_TAG: version, **images}

    def _own_image(self, context: DeploymentContext, part: str, version: str) -> str:
        stack = Stack.of(self)
        registry = f"{stack.account}.dkr.ecr.{stack.region}.{stack.url_suffix}"
        return f"{registry}/{names.image_repository(context.deployment_id, part)}:{version}"

    def _user_data(self, context: DeploymentContext, runtime: RuntimeConfig) -> str:
        files = boot.settings_files(context.config, runtime, context.environment, region=Stack.of(self).region)
        text = boot.cloud_config(files, baked=[] if runtime.fleet.ami_id is not None else boot.baked_files())
        # Tokens become longer than they are here, by less than they are short of now: ARNs and URLs of 100 characters.
        longest = len(re.sub(r"\$\{Token\[[^]]*\]\}", "x" * 100, text).encode())
        if longest > boot.MAX_USER_DATA_BYTES:
            raise ValueError(
                f"{runtime.name}: the user data may have {longest} bytes and EC2 takes {boot.MAX_USER_DATA_BYTES};"
                " name fewer runtimes, arguments or allowed hosts."
            )
        return text


def _volumes(volume: VolumeConfig) -> list[ec2.CfnLaunchTemplate.BlockDeviceMappingProperty]:
    mappings = [_volume(_ROOT_DEVICE, volume, snapshot_id=None)]
    if volume.snapshot_id is not None:
        mappings.append(_volume(boot.DATA_VOLUME_DEVICE, volume, snapshot_id=volume.snapshot_id))
    return mappings


def _volume(
    device: str, volume: VolumeConfig, *, snapshot_id: str | None
) -> ec2.CfnLaunchTemplate.BlockDeviceMappingProperty:
    """`snapshot_id` None: the AMI's own, which is not smaller than it was made."""
    return ec2.CfnLaunchTemplate.BlockDeviceMappingProperty(
        device_name=device,
        ebs=ec2.CfnLaunchTemplate.EbsProperty(
            encrypted=True,
            delete_on_termination=True,
            snapshot_id=snapshot_id,
            volume_size=volume.size_gib,
            volume_type=volume.type.value,
            iops=None if volume.type is VolumeType.GP2 else volume.iops,
            throughput=volume.throughput if volume.type is VolumeType.GP3 else None,
            volume_initialization_rate=volume.initialization_rate,
        ),
    )
