"""Container images of our own: repositories, and builds on the account for machines without a container engine."""

from __future__ import annotations

import json

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_codebuild as codebuild
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_logs as logs
from constructs import Construct

from sdfleet.config import Config
from sdfleet.domain import names
from sdfleet.domain.task import RuntimeType
from sdfleet_cdk import nag
from sdfleet_cdk.permissions import Permission, process_role

#: Releases of a fleet that can be gone back to.
KEPT_IMAGES = 30
#: What a broken push has left.
_UNTAGGED_DAYS = 7
#: AWS's build machine with docker, x86 as the GPU instances are.
_BUILD_IMAGE = "aws/codebuild/standard:7.0"
#: 8 processors and 15 GB: wheels of torch are unpacked in memory. Paid by the minute of a build.
_COMPUTE = "BUILD_GENERAL1_LARGE"
#: Half an hour for an image with torch in it, with room for a slow mirror.
_TIMEOUT_MIN = 120


def image_parts(config: Config) -> tuple[str, ...]:
    """What is built by us: the scheduler, and the runtimes whose image the configuration does not name."""
    runtimes = (
        runtime.name
        for runtime in config.runtimes
        if runtime.images.runtime is None and runtime.type is not RuntimeType.TEST_PATTERN
    )
    needs_scheduler = any(runtime.images.scheduler is None for runtime in config.runtimes)
    return (*(("scheduler",) if needs_scheduler else ()), *runtimes)


class ImageRepositories(Construct):
    """One for each image of our own. What a tag names is never changed; what is pushed is scanned."""

    def __init__(self, scope: Construct, construct_id: str, *, config: Config) -> None:
        super().__init__(scope, construct_id)
        for part in image_parts(config):
            ecr.Repository(
                self,
                names.camel_case(part),
                repository_name=names.image_repository(config.stack_name, part),
                image_tag_mutability=ecr.TagMutability.IMMUTABLE,
                image_scan_on_push=True,
                lifecycle_rules=[
                    ecr.LifecycleRule(
                        rule_priority=1, tag_status=ecr.TagStatus.UNTAGGED, max_image_age=Duration.days(_UNTAGGED_DAYS)
                    ),
                    ecr.LifecycleRule(rule_priority=2, tag_status=ecr.TagStatus.ANY, max_image_count=KEPT_IMAGES),
                ],
                # Only buckets stay when a deployment goes.
                removal_policy=RemovalPolicy.DESTROY,
                empty_on_delete=True,
            )


class ImageBuild(Construct):
    """Builds one image a run, of the checkout that the command line packs. Costs nothing while it builds nothing.

    For a configuration that has images to build (`image_parts`). A run is told where its source is, `REPOSITORY_URI`,
    `IMAGE_VERSION`, `DOCKERFILE` and `BUILD_ARGUMENTS` (docker's own words, quoted for a shell).
    """

    def __init__(self, scope: Construct, construct_id: str, *, config: Config, source_bucket: str) -> None:
        """`source_bucket`: the name of the one that sources are put into."""
        super().__init__(scope, construct_id)
        deployment_id = config.stack_name
        name = names.image_build_project(deployment_id)
        log_group = logs.CfnLogGroup(
            self,
            "Logs",
            log_group_name=names.function_log_group(deployment_id, "images"),
            retention_in_days=config.retention.log_days,
        )
        role = process_role(
            self,
            "Role",
            service="codebuild.amazonaws.com",
            description=f"{deployment_id}: builds container images",
            permissions=self._permissions(config, log_group, source_bucket),
        )
        properties = codebuild.CfnProject
        project = properties(
            self,
            "Project",
            name=name,
            description=f"Container images of {deployment_id}",
            service_role=role.role_arn,
            artifacts=properties.ArtifactsProperty(type="NO_ARTIFACTS"),
            source=properties.SourceProperty(
                type="S3",
                # Every build names its own, below this.
                location=f"{source_bucket}/{names.BUILD_SOURCE_PREFIX}",
                build_spec=json.dumps(_build_spec()),
            ),
            environment=properties.EnvironmentProperty(
                type="LINUX_CONTAINER", compute_type=_COMPUTE, image=_BUILD_IMAGE, privileged_mode=True
            ),
            logs_config=properties.LogsConfigProperty(
                cloud_watch_logs=properties.CloudWatchLogsConfigProperty(status="ENABLED", group_name=log_group.ref)
            ),
            timeout_in_minutes=_TIMEOUT_MIN,
        )
        nag.acknowledge(
            project,
            {
                "CB3": "docker itself runs in the build, which takes a privileged container; the source is this"
                " checkout.",
                "CB4": "There are no artifacts to encrypt: images go to ECR, which encrypts them.",
            },
        )

    def _permissions(self, config: Config, log_group: logs.CfnLogGroup, source_bucket: str) -> list[Permission]:
        stack = Stack.of(self)
        return [
            Permission(
                "Source",
                ("s3:GetObject", "s3:GetObjectVersion"),
                (f"arn:{stack.partition}:s3:::{source_bucket}/{names.BUILD_SOURCE_PREFIX}*",),
                reason="An archive is named after its content.",
            ),
            # CodeBuild User Guide, "Allow CodeBuild to interact with dependent services".
            Permission(
                "SourceBucket",
                ("s3:GetBucketAcl", "s3:GetBucketLocation"),
                (f"arn:{stack.partition}:s3:::{source_bucket}",),
            ),
            Permission(
                "Logs",
                ("logs:CreateLogStream", "logs:PutLogEvents"),
                # Ends in `:*`: the group's streams, one a build.
                (log_group.attr_arn,),
            ),
            Permission("RegistryLogin", ("ecr:GetAuthorizationToken",), ("*",), reason="The call knows no resources."),
            Permission(
                "Push",
                (
                    "ecr:BatchCheckLayerAvailability",
                    "ecr:BatchGetImage",
                    "ecr:CompleteLayerUpload",
                    "ecr:GetDownloadUrlForLayer",
                    "ecr:InitiateLayerUpload",
                    "ecr:PutImage",
                    "ecr:UploadLayerPart",
                ),
                tuple(
                    stack.format_arn(
                        service="ecr",
                        resource="repository",
                        resource_name=names.image_repository(config.stack_name, part),
                    )
                    for part in image_parts(config)
                ),
            ),
        ]


def _build_spec() -> dict[str, object]:
    """CodeBuild User Guide, "Build specification reference"."""
    return {
        "version": "0.2",
        # The Dockerfiles mount secrets, which docker's older builder cannot.
        "env": {"variables": {"DOCKER_BUILDKIT": "1"}},
        "phases": {
            "pre_build": {
                "commands": [
                    'aws ecr get-login-password | docker login --username AWS --password-stdin "${REPOSITORY_URI%%/*}"'
                ]
            },
            "build": {
                "commands": [
                    # Read again by the shell: several arguments, some of which have spaces in them.
                    'eval "docker build --file $DOCKERFILE --tag $REPOSITORY_URI:$IMAGE_VERSION $BUILD_ARGUMENTS ."'
                ]
            },
            "post_build": {
                # This phase comes after a failed build too.
                "commands": [
                    'test "$CODEBUILD_BUILD_SUCCEEDING" = 1',
                    'docker push "$REPOSITORY_URI:$IMAGE_VERSION"',
                ]
            },
        },
    }
