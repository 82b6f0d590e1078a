"""The public face of releases in SSM: made once with constant values, rewritten by releases ever after.

CloudFormation never looks at a parameter again whose properties in the template have not changed, so `cdk deploy`
does not undo what a release has written. Nobody has to write anything before the first deployment: the values here are
those of a fleet that has had no release. They belong to a stack that is deployed before the fleets' stack, whose
template takes them as parameters (`AWS::SSM::Parameter::Value<String>`).

A fleets' stack that is removed and deployed anew while these stay has launch templates whose versions begin at 1
again: set `launch-template-version` back to 1 before (deploy.sh does).
"""

from __future__ import annotations

from aws_cdk import CfnParameter
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from sdfleet.domain import names
from sdfleet.domain.rollout import DeploymentStatus

#: The version of the launch template that a new fleet has: CloudFormation's first.
FIRST_LAUNCH_TEMPLATE_VERSION = "1"

IMAGE_VERSION = "image-version"
DEPLOYMENT_STATUS = "deployment-status"
LAUNCH_TEMPLATE_VERSION = "launch-template-version"
_FIRST_VALUES = {
    # A container image has it as its tag until a release names another (`build-and-push-image.sh`).
    IMAGE_VERSION: names.NO_RELEASE,
    "previous-version": names.NO_RELEASE,
    DEPLOYMENT_STATUS: DeploymentStatus.STABLE,
    # The state of the last rollout (architecture, section 6); no rollout yet.
    "rollout": "{}",
    LAUNCH_TEMPLATE_VERSION: FIRST_LAUNCH_TEMPLATE_VERSION,
}


class ReleaseParameters(Construct):
    """One runtime's. Records of single releases (`releases/{version}`) are written beside them, never by a template."""

    def __init__(self, scope: Construct, construct_id: str, *, deployment_id: str, runtime: str) -> None:
        super().__init__(scope, construct_id)
        for name, value in _FIRST_VALUES.items():
            ssm.CfnParameter(
                self,
                name.title().replace("-", ""),
                name=names.release_parameter(deployment_id, runtime, name),
                type="String",
                value=value,
            )


def current_value(scope: Construct, construct_id: str, *, deployment_id: str, runtime: str, name: str) -> str:
    """What the parameter holds when the stack is deployed, as a token."""
    return CfnParameter(
        scope,
        construct_id,
        type="AWS::SSM::Parameter::Value<String>",
        default=names.release_parameter(deployment_id, runtime, name),
        description=f"{runtime}: {name}, as the last release has left it. Leave it as it is.",
    ).value_as_string
