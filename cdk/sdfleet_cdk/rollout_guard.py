"""CloudFormation itself refuses to change the fleets' stack while a release is on its way.

CloudFormation does not look at the value of a parameter that comes from SSM ("You should do any validation for Systems
Manager parameter values in Parameter Store": its User Guide, "Systems Manager parameter types"), but Parameter Store
does: a parameter with an `AllowedPattern` takes no other value (SSM API Reference, PutParameter). So the stack copies
each fleet's `deployment-status` into such a parameter before it touches anything else. The value of a rollout is not
taken, the update ends there and is undone, and nothing else was changed. It needs no function and no permission, and
costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_ssm as ssm
from constructs import Construct

from sdfleet.config import RuntimeConfig
from sdfleet.domain import names
from sdfleet.domain.rollout import UNDER_WAY, DeploymentStatus
from sdfleet_cdk.release_parameters import DEPLOYMENT_STATUS, current_value

#: What CloudFormation's message quotes when it refuses.
SETTLED_PATTERN = f"^({'|'.join(status for status in DeploymentStatus if status not in UNDER_WAY)})$"
#: The copy's name beside `deployment-status`.
GUARD = "deployment-status-when-deployed"


class RolloutGuard(Construct):
    """Whatever depends on it is left alone during a rollout."""

    def __init__(
        self, scope: Construct, construct_id: str, *, deployment_id: str, runtimes: Sequence[RuntimeConfig]
    ) -> None:
        super().__init__(scope, construct_id)
        for runtime in runtimes:
            # The logical id begins with these names: it is what a refused `cdk deploy` shows.
            part = Construct(self, names.camel_case(runtime.name))
            ssm.CfnParameter(
                part,
                "DeploymentStatus",
                name=names.release_parameter(deployment_id, runtime.name, GUARD),
                description=f"{runtime.name}: no deployment while a rollout is under way. CloudFormation writes it.",
                type="String",
                allowed_pattern=SETTLED_PATTERN,
                value=current_value(
                    part,
                    "Now",
                    deployment_id=deployment_id,
                    runtime=runtime.name,
                    name=DEPLOYMENT_STATUS,
                ),
            )

    def protect(self, stack: Construct) -> None:
        """Let all else that `stack` has by now wait for it."""
        for part in stack.node.children:
            if part is not self:
                part.node.add_dependency(self)
