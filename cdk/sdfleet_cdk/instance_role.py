"""What a fleet's instances may do, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from sdfleet.config import RuntimeConfig
from sdfleet.domain import names
from sdfleet_cdk.context import DeploymentContext
from sdfleet_cdk.group_permissions import group_permission
from sdfleet_cdk.permissions import Permission, process_role
from sdfleet_cdk.table_permission import record_permission

_ECR = re.compile(r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?/(?P<name>[^:@]+)")


class InstanceRole(Construct):
    """Role and profile of one fleet."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        context: DeploymentContext,
        runtime: RuntimeConfig,
        log_group: logs.CfnLogGroup,
    ) -> None:
        super().__init__(scope, construct_id)
        self._context = context
        self._runtime = runtime
        #: ARNs of what an instance pulls its containers from.
        self.repositories = tuple(dict.fromkeys(self._repositories()))
        #: Its statements stand in it: an instance, which cannot be without it, has all of them from its first moment.
        self.role = process_role(
            self,
            "Role",
            service="ec2.amazonaws.com",
            description=f"Instances of {names.fleet_name(context.deployment_id, runtime.name)}",
            permissions=[*self._work(), *self._objects(), *self._images(), *self._operation(log_group)],
        )
        self.profile = iam.CfnInstanceProfile(self, "Profile", roles=[self.role.role_name])

    def _work(self) -> Iterator[Permission]:
        context = self._context
        yield Permission(
            "Messages",
            ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"),
            (context.fleet_queues[self._runtime.name].queue.queue_arn,),
        )
        # Not the contents: messages have those that the table keeps.
        yield record_permission("Records", context.table, "GetItem", "PutItem", "UpdateItem")
        yield Permission("Notices", ("sns:Publish",), (context.result_topic.topic_arn,))
        yield group_permission(
            self,
            "Group",
            (
                "autoscaling:CompleteLifecycleAction",
                "autoscaling:RecordLifecycleActionHeartbeat",
                "autoscaling:SetInstanceHealth",
            ),
            # Granted before the group is there.
            [names.fleet_name(context.deployment_id, self._runtime.name)],
        )

    def _objects(self) -> Iterator[Permission]:
        context = self._context
        yield Permission(
            "Results",
            ("s3:PutObject", "s3:GetObject"),
            (context.output_bucket.arn_for_objects("*"),),
            reason="The first part of a result's key is the caller's prefix. Read: a link works only for what its"
            " signer may read.",
        )
        yield Permission(
            "Contents",
            ("s3:GetObject",),
            tuple(
                context.inbox_bucket.arn_for_objects(f"{prefix}*")
                for prefix in (names.INBOX_PREFIX, names.UPLOAD_PREFIX)
            ),
            reason="The objects of the inbox are named by their tasks.",
        )
        yield Permission(
            "DeadLetters",
            ("s3:PutObject",),
            (context.inbox_bucket.arn_for_objects(f"{names.DEAD_LETTER_PREFIX}*"),),
            reason="Dead letters are named by their messages.",
        )
        if context.model_bucket is not None:
            yield Permission(
                "Models",
                ("s3:GetObject",),
                (context.model_bucket.arn_for_objects("*"),),
                reason="A request may name any model of the model bucket.",
            )
            yield Permission("ModelList", ("s3:ListBucket",), (context.model_bucket.bucket_arn,))
        allowed = context.config.inputs.allowed_buckets
        if allowed:
            partition = Stack.of(self).partition
            yield Permission(
                "Inputs",
                ("s3:GetObject",),
                tuple(f"arn:{partition}:s3:::{name}/*" for name in allowed),
                reason="The configuration allows links to all objects of these buckets.",
            )

    def _images(self) -> Iterator[Permission]:
        yield Permission("RegistryLogin", ("ecr:GetAuthorizationToken",), ("*",), reason="The call knows no resources.")
        yield Permission(
            "Images",
            ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"),
            self.repositories,
        )

    def _repositories(self) -> Iterator[str]:
        """The deployment's own, which a release may name at any time, and those that the configuration names."""
        stack = Stack.of(self)
        for part in ("scheduler", self._runtime.name):
            repository = names.image_repository(self._context.deployment_id, part)
            yield stack.format_arn(service="ecr", resource="repository", resource_name=repository)
        for image in (self._runtime.images.scheduler, self._runtime.images.runtime):
            if image is not None and (match := _ECR.match(image)):
                yield stack.format_arn(
                    service="ecr",
                    resource="repository",
                    account=match["account"],
                    region=match["region"],
                    resource_name=match["name"],
                )

    def _operation(self, log_group: logs.CfnLogGroup) -> Iterator[Permission]:
        stack = Stack.of(self)
        if self._context.links is not None:
            path = self._context.links.private_key_parameter.lstrip("/")
            yield Permission(
                "LinkKey",
                ("ssm:GetParameter",),
                (stack.format_arn(service="ssm", resource="parameter", resource_name=path),),
            )
        yield Permission(
            "Logs",
            ("logs:CreateLogStream", "logs:PutLogEvents"),
            # Ends in `:*`: the group's streams, three per instance.
            (log_group.attr_arn,),
        )
        yield Permission(
            "Metrics",
            ("cloudwatch:PutMetricData",),
            ("*",),
            reason="The call knows no resources; it is bound to the namespace of the product.",
            conditions={"StringEquals": {"cloudwatch:namespace": names.METRIC_NAMESPACE}},
        )
        yield Permission(
            "SessionManager",
            (
                "ssm:UpdateInstanceInformation",
                "ssmmessages:CreateControlChannel",
                "ssmmessages:CreateDataChannel",
                "ssmmessages:OpenControlChannel",
                "ssmmessages:OpenDataChannel",
            ),
            ("*",),
            reason="Sessions in place of SSH; the calls know no resources (Systems Manager User Guide, 'Verify or add"
            " instance permissions for Session Manager').",
        )
