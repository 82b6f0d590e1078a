"""Posts notices to their callback addresses: the queue's other end."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import Construct

from sdfleet.domain import callback, names
from sdfleet.environment import CallbackEnvironment
from sdfleet_cdk.context import DeploymentContext
from sdfleet_cdk.functions import parameter_arn
from sdfleet_cdk.handlers import Handler, HandlerCode, queue_permission
from sdfleet_cdk.permissions import Permission

#: It waits for receivers, most of the time.
_MEMORY = 256
#: Batches of ten: fifty receivers at once.
_AT_ONCE = 5


class CallbackDelivery(Construct):
    def __init__(self, scope: Construct, construct_id: str, *, deployment: DeploymentContext) -> None:
        super().__init__(scope, construct_id)
        queue = deployment.callbacks.queue
        secret = names.callback_secret_parameter(deployment.deployment_id)
        code = HandlerCode(
            module="callbacks",
            description="Posts notices to their callback addresses",
            memory=_MEMORY,
            timeout=callback.FUNCTION_TIMEOUT,
            environment=CallbackEnvironment(deployment.deployment_id, queue.queue_url).to_env(),
            permissions=(
                queue_permission(queue.queue_arn),
                Permission("PostponeTries", ("sqs:ChangeMessageVisibility",), (queue.queue_arn,)),
                # PutParameter: a template cannot make a SecureString, so whoever needs it first does.
                Permission(
                    "SigningSecret",
                    ("ssm:GetParameter", "ssm:PutParameter"),
                    (parameter_arn(cdk.Stack.of(self), secret),),
                ),
            ),
        )
        self.handler = Handler(self, "Callbacks", code=code, config=deployment.config, region=deployment.region)
        self.handler.consume("Notices", queue.queue_arn, at_once=_AT_ONCE)
