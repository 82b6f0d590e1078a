"""A fleet's AMI, made by EC2 Image Builder when `scripts/build-ami.sh` asks for one. Costs nothing in between."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_imagebuilder as builder
from aws_cdk import aws_s3_assets as assets
from constructs import Construct

from sdfleet.config import Config, RuntimeConfig
from sdfleet.domain import names
from sdfleet_cdk import boot
from sdfleet_cdk.ami_recipe import ComponentDocument, Recipe, has_neuron, recipe_for
from sdfleet_cdk.network import Network
from sdfleet_cdk.permissions import Permission, process_role

#: What a name stands for is never changed: the digest is in the name, not here.
_VERSION = "1.0.0"
_ROOT_DEVICE = "/dev/xvda"
#: Image Builder's least; the tests themselves take minutes (CreateImagePipeline, imageTestsConfiguration).
_TEST_TIMEOUT_MIN = 60


class AmiPipeline(Construct):
    """One runtime's."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        config: Config,
        runtime: RuntimeConfig,
        network: Network,
        repositories: Sequence[str],
    ) -> None:
        """`repositories`: ARNs of what instances pull from."""
        super().__init__(scope, construct_id)
        name = names.ami_pipeline_name(config.stack_name, runtime.name)
        recipe = recipe_for(runtime)
        boot_files = assets.Asset(self, "BootFiles", path=str(boot.FILES), exclude=["**/__pycache__"])
        parameters = {
            "BootFiles": boot_files.s3_object_url,
            "ImagesParameter": names.release_parameter(config.stack_name, runtime.name, names.BAKED_IMAGES),
            "Region": Stack.of(self).region,
        }
        profile = iam.CfnInstanceProfile(
            self,
            "Profile",
            roles=[
                process_role(
                    self,
                    "Role",
                    service="ec2.amazonaws.com",
                    description=f"Builds the AMI of {names.fleet_name(config.stack_name, runtime.name)}",
                    permissions=list(self._permissions(config, runtime, boot_files, repositories)),
                ).role_name
            ],
        )
        infrastructure = builder.CfnInfrastructureConfiguration(
            self,
            "Infrastructure",
            name=name,
            instance_profile_name=profile.ref,
            # A test of Neuron needs such a device.
            instance_types=[
                runtime.fleet.instance_types[0] if has_neuron(runtime) else config.image_pipeline.instance_type
            ],
            subnet_id=network.subnet_ids()[0],
            security_group_ids=[network.security_group.attr_group_id],
            terminate_instance_on_failure=True,
            instance_metadata_options=builder.CfnInfrastructureConfiguration.InstanceMetadataOptionsProperty(
                http_tokens="required", http_put_response_hop_limit=1
            ),
        )
        for one in network.ready:
            infrastructure.node.add_dependency(one)
        builder.CfnImagePipeline(
            self,
            "Pipeline",
            name=name,
            image_recipe_arn=self._recipe(name, runtime, recipe, boot_files, parameters).attr_arn,
            infrastructure_configuration_arn=infrastructure.attr_arn,
            distribution_configuration_arn=self._distribution(name, config, runtime).attr_arn,
            image_tests_configuration=builder.CfnImagePipeline.ImageTestsConfigurationProperty(
                image_tests_enabled=True, timeout_minutes=_TEST_TIMEOUT_MIN
            ),
            # A list of the AMI's packages, which would take an inventory agent.
            enhanced_image_metadata_enabled=False,
            status="ENABLED",
        )

    def _recipe(
        self,
        name: str,
        runtime: RuntimeConfig,
        recipe: Recipe,
        boot_files: assets.Asset,
        parameters: dict[str, str],
    ) -> builder.CfnImageRecipe:
        components = [
            builder.CfnImageRecipe.ComponentConfigurationProperty(
                component_arn=self._component(name, document).attr_arn,
                parameters=[
                    builder.CfnImageRecipe.ComponentParameterProperty(name=key, value=[parameters[key]])
                    for key in document.parameters
                ]
                # CloudFormation takes no empty list here.
                or None,
            )
            for document in recipe.documents
        ]
        volume = runtime.fleet.volume
        return builder.CfnImageRecipe(
            self,
            "Recipe",
            name=f"{name}-{recipe.digest(boot_files.asset_hash, str(volume.size_gib))}",
            version=_VERSION,
            description=recipe.description,
            parent_image=recipe.parent_image,
            components=components,
            block_device_mappings=[
                builder.CfnImageRecipe.InstanceBlockDeviceMappingProperty(
                    device_name=_ROOT_DEVICE,
                    ebs=builder.CfnImageRecipe.EbsInstanceBlockDeviceSpecificationProperty(
                        volume_type="gp3", volume_size=volume.size_gib, delete_on_termination=True, encrypted=True
                    ),
                )
            ],
        )

    def _component(self, name: str, document: ComponentDocument) -> builder.CfnComponent:
        digest = Recipe("", "", "", (document,)).digest()
        part = document.name.removeprefix("sdfleet-")
        return builder.CfnComponent(
            self,
            f"{names.camel_case(part)}Component",
            name=f"{name}-{part}-{digest}",
            version=_VERSION,
            platform="Linux",
            description=document.description,
            data=document.text,
        )

    def _distribution(self, name: str, config: Config, runtime: RuntimeConfig) -> builder.CfnDistributionConfiguration:
        return builder.CfnDistributionConfiguration(
            self,
            "Distribution",
            name=name,
            distributions=[
                builder.CfnDistributionConfiguration.DistributionProperty(
                    region=Stack.of(self).region,
                    ami_distribution_configuration={
                        # Image Builder puts the date there: names of AMIs are unique.
                        "Name": f"{name} {{{{ imagebuilder:buildDate }}}}",
                        "AmiTags": {
                            **config.tags,
                            "sdfleet-deployment": config.stack_name,
                            "sdfleet-runtime": runtime.name,
                        },
                    },
                )
            ],
        )

    def _permissions(
        self, config: Config, runtime: RuntimeConfig, boot_files: assets.Asset, repositories: Sequence[str]
    ) -> Iterator[Permission]:
        """Image Builder User Guide, "Instance profile role", as far as an AMI without an inventory needs it."""
        stack = Stack.of(self)
        parameter = names.release_parameter(config.stack_name, runtime.name, names.BAKED_IMAGES).lstrip("/")
        yield Permission(
            "ListOfImages",
            ("ssm:GetParameter",),
            (stack.format_arn(service="ssm", resource="parameter", resource_name=parameter),),
        )
        yield Permission("RegistryLogin", ("ecr:GetAuthorizationToken",), ("*",), reason="The call knows no resources.")
        yield Permission(
            "Images",
            ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"),
            tuple(repositories),
        )
        yield Permission("BootFiles", ("s3:GetObject",), (boot_files.bucket.arn_for_objects(boot_files.s3_object_key),))
        component = f"{names.ami_pipeline_name(config.stack_name, runtime.name)}-*".lower()
        yield Permission(
            "Components",
            ("imagebuilder:GetComponent",),
            (stack.format_arn(service="imagebuilder", resource="component", resource_name=component),),
            reason="A component's ARN ends in a build version that Image Builder gives it.",
        )
        yield Permission(
            "Tools",
            ("s3:GetObject",),
            (f"arn:{stack.partition}:s3:::ec2imagebuilder*",),
            reason="Where AWS keeps the program that runs components, in a bucket for each region.",
        )
        yield Permission(
            "Logs",
            ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"),
            (stack.format_arn(service="logs", resource="log-group:/aws/imagebuilder/*"),),
            reason="Image Builder names the group after the recipe and the stream after the build.",
        )
        yield Permission(
            "SystemsManager",
            (
                "ssm:UpdateInstanceInformation",
                "ssmmessages:CreateControlChannel",
                "ssmmessages:CreateDataChannel",
                "ssmmessages:OpenControlChannel",
                "ssmmessages:OpenDataChannel",
                "ec2messages:AcknowledgeMessage",
                "ec2messages:DeleteMessage",
                "ec2messages:FailMessage",
                "ec2messages:GetEndpoint",
                "ec2messages:GetMessages",
                "ec2messages:SendReply",
            ),
            ("*",),
            reason="Image Builder works through Systems Manager, whose calls know no resources.",
        )
