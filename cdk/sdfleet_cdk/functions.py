"""The functions of the request path: what each is, may do and is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import aws_cdk as cdk
from aws_cdk import aws_s3 as s3
from constructs import Construct

from sdfleet.domain import names
from sdfleet.environment import HandlerEnvironment
from sdfleet_cdk.context import DeploymentContext
from sdfleet_cdk.fleet_scaler import ScalerWake
from sdfleet_cdk.handlers import Handler, HandlerCode, queue_permission
from sdfleet_cdk.permissions import Permission
from sdfleet_cdk.queueing import CONSUMER_TIMEOUT
from sdfleet_cdk.table_permission import content_permission, record_permission

#: API Gateway's own limit (quotas); a wait ends after 25 s.
API_TIMEOUT = timedelta(seconds=29)
SWEEP_EVERY = timedelta(minutes=1)
#: Below the minute in which the next one comes; the sweeper itself stops after 45 s. So long it hides a letter.
_SWEEP_TIMEOUT = timedelta(seconds=55)
#: A quarter of a processor: of a request's 60 ms ten are work, the rest waits. A start has a whole one.
_MEMORY = 512
#: Direct messages come in bursts, and each takes several calls.
_SUBMISSIONS_AT_ONCE = 10


class RequestFunctions(Construct):
    """The handlers of requests, direct messages, and what was left behind, dead letters too."""

    def __init__(
        self, scope: Construct, construct_id: str, *, deployment: DeploymentContext, wake: ScalerWake | None = None
    ) -> None:
        """`wake` None: no fleet has the fast scaler."""
        super().__init__(scope, construct_id)
        self._deployment = deployment
        self._wake = wake
        #: None: the deployment has no API.
        self.api: Handler | None = self._handler("Api", _api(deployment)) if deployment.config.has_api else None
        submission = self._handler("Submission", _submission(deployment))
        submission.consume("Messages", deployment.submissions.queue.queue_arn, at_once=_SUBMISSIONS_AT_ONCE)
        sweeper = self._handler("Sweeper", _sweeper(deployment))
        sweeper.repeat("EveryMinute", name=f"{deployment.deployment_id}-sweeper", every=SWEEP_EVERY)

    def _handler(self, construct_id: str, code: HandlerCode) -> Handler:
        deployment, wake = self._deployment, self._wake
        environment = {**deployment.environment.to_env(), **_handlers(deployment, wake).to_env()}
        code = replace(code, environment=environment, permissions=(*code.permissions, *_wake(deployment, wake)))
        return Handler(self, construct_id, code=code, config=deployment.config, region=deployment.region)


def _handlers(deployment: DeploymentContext, wake: ScalerWake | None) -> HandlerEnvironment:
    config = deployment.config
    settings = HandlerEnvironment(waiting_cap=config.waiting_cap, link_lifetime_s=config.link_lifetime_s)
    if wake is None:
        return settings
    # All of them need no names: a function has few kilobytes for its environment.
    runtimes = () if len(wake.runtimes) == len(config.runtimes) else wake.runtimes
    return replace(settings, wake_topic_arn=wake.topic.topic_arn, scaled_runtimes=runtimes)


def _wake(deployment: DeploymentContext, wake: ScalerWake | None) -> tuple[Permission, ...]:
    """Each of them puts tasks into the fleets' queues."""
    if wake is None:
        return ()
    return (
        record_permission("MarkWake", deployment.table, "UpdateItem"),
        Permission("Wake", ("sns:Publish",), (wake.topic.topic_arn,)),
    )


def _api(deployment: DeploymentContext) -> HandlerCode:
    return HandlerCode(
        module="api",
        description="Answers the API's requests",
        memory=_MEMORY,
        timeout=API_TIMEOUT,
        is_traced=True,
        permissions=(
            # UpdateItem: the waiting room.
            record_permission("Records", deployment.table, "GetItem", "PutItem", "UpdateItem"),
            # GetItem: GET /task answers with the request.
            content_permission("Contents", deployment.table, "GetItem", "PutItem"),
            _publish(deployment),
            _objects(
                "PutContents",
                "PutObject",
                deployment.inbox_bucket,
                (names.INBOX_PREFIX, names.UPLOAD_PREFIX),
                reason="A key for each task and each upload link.",
            ),
            _objects(
                "ReadContents",
                "GetObject",
                deployment.inbox_bucket,
                (names.INBOX_PREFIX,),
                reason="GET /task answers with any task's request.",
            ),
            _link_permission(deployment),
            *_model_permissions(deployment),
        ),
    )


def _submission(deployment: DeploymentContext) -> HandlerCode:
    return HandlerCode(
        module="submission",
        description="Accepts what was published to the request topic directly",
        memory=_MEMORY,
        timeout=CONSUMER_TIMEOUT,
        permissions=(
            queue_permission(deployment.submissions.queue.queue_arn),
            record_permission("Records", deployment.table, "GetItem", "PutItem"),
            content_permission("Contents", deployment.table, "PutItem"),
            _publish(deployment),
            _objects(
                "PutContents",
                "PutObject",
                deployment.inbox_bucket,
                (names.INBOX_PREFIX, names.DEAD_LETTER_PREFIX),
                reason="A key for each task and each refused message.",
            ),
            _objects(
                "ReadContents",
                "GetObject",
                deployment.inbox_bucket,
                (names.INBOX_PREFIX, names.UPLOAD_PREFIX),
                reason="A message's content_location may be any of them.",
            ),
            _link_permission(deployment),
            *_model_permissions(deployment),
        ),
    )


def _sweeper(deployment: DeploymentContext) -> HandlerCode:
    index = f"{deployment.table.table_arn}/index/{deployment.due_index}"
    fleets = deployment.fleet_queues.values()
    dead_letters = (deployment.submissions.dead_letters, *(fleet.dead_letters for fleet in fleets))
    return HandlerCode(
        module="sweeper",
        description="Completes what was left undone, settles dead letters",
        memory=_MEMORY,
        timeout=_SWEEP_TIMEOUT,
        permissions=(
            record_permission("Records", deployment.table, "BatchGetItem", "GetItem", "PutItem"),
            content_permission("Contents", deployment.table, "GetItem"),
            Permission("FindDueRecords", ("dynamodb:Query",), (index,)),
            Permission(
                "TakeLetters",
                ("sqs:ReceiveMessage", "sqs:DeleteMessage"),
                tuple(queue.queue_arn for queue in dead_letters),
            ),
            Permission("SendBack", ("sqs:SendMessage",), tuple(fleet.queue.queue_arn for fleet in fleets)),
            _publish(deployment),
            _objects(
                "ReadContents",
                "GetObject",
                deployment.inbox_bucket,
                (names.INBOX_PREFIX,),
                reason="Any task's content may have to be published once more.",
            ),
            _objects(
                "KeepLetters",
                "PutObject",
                deployment.inbox_bucket,
                (names.DEAD_LETTER_PREFIX,),
                reason="A key for each letter.",
            ),
            _link_permission(deployment),
        ),
    )


def _publish(deployment: DeploymentContext) -> Permission:
    topics = (deployment.request_topic, deployment.result_topic)
    return Permission("Publish", ("sns:Publish",), tuple(topic.topic_arn for topic in topics))


def _objects(sid: str, action: str, bucket: s3.IBucket, prefixes: tuple[str, ...], *, reason: str) -> Permission:
    keys = tuple(bucket.arn_for_objects(f"{prefix}*") for prefix in prefixes)
    return Permission(sid, (f"s3:{action}",), keys, reason=reason)


def _link_permission(deployment: DeploymentContext) -> Permission:
    """What a link to an output is signed with: its signer's own right, or the CDN's key."""
    if deployment.links is None:
        reason = "A presigned link can do what its signer can, and any task's outputs may be asked for."
        return _objects("SignLinks", "GetObject", deployment.output_bucket, ("",), reason=reason)
    return Permission(
        "SignLinks",
        ("ssm:GetParameter",),
        (parameter_arn(deployment.table.stack, deployment.links.private_key_parameter),),
    )


def _model_permissions(deployment: DeploymentContext) -> tuple[Permission, ...]:
    if deployment.model_bucket is None:
        return ()
    reason = "A request may name any checkpoint; whether it is there is asked for."
    return (_objects("FindModels", "GetObject", deployment.model_bucket, (names.CHECKPOINT_PREFIX,), reason=reason),)


def parameter_arn(stack: cdk.Stack, path: str) -> str:
    """Of the SSM parameter at `path`, which begins with a slash."""
    return stack.format_arn(service="ssm", resource=f"parameter{path}")
