"""Who may do what: one role a process, each statement written out, no wildcard without its reason beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from constructs import Construct

from sdfleet_cdk import nag

#: Of the metadata that carries a statement's reason to the reference; it never reaches a template.
REASON_METADATA = "sdfleet:permission-reason"


@dataclass(frozen=True)
class Permission:
    """One allowing statement of a process's role."""

    #: Names it in the template and in the reference: letters and digits.
    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    #: Why it must be as wide as it is. Wildcards need one.
    reason: str | None = None
    #: As IAM writes them: operator, key, value.
    conditions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises:
        ValueError: a wildcard has no reason.
        """
        if self.reason is None and any("*" in name for name in (*self.actions, *self.resources)):
            raise ValueError(f"the permission {self.sid} has a wildcard; give its reason, or narrow it")


def process_role(
    scope: Construct, construct_id: str, *, service: str, description: str, permissions: Sequence[Permission]
) -> iam.Role:
    """A role for one process, which only `service` takes on.

    Its statements stand in the role itself: whoever uses the role has them from the first moment, and a statement
    that CDK would add on its own account is never added (`without_policy_updates`).
    """
    statements = [
        iam.PolicyStatement(
            sid=one.sid,
            actions=list(one.actions),
            resources=list(one.resources),
            conditions=dict(one.conditions) or None,
        )
        for one in permissions
    ]
    role = iam.Role(
        scope,
        construct_id,
        assumed_by=iam.ServicePrincipal(service),
        description=description,
        inline_policies={"Process": iam.PolicyDocument(statements=statements)},
    )
    for one in permissions:
        if one.reason is not None:
            role.node.add_metadata(REASON_METADATA, {"sid": one.sid, "reason": one.reason})
            nag.acknowledge(role, dict.fromkeys(_wildcard_findings(role, one), one.reason))
    return role


def flattened(value: Any) -> str:
    """A resolved template value in one line: `arn:<AWS::Partition>:s3:::...`, as cdk-nag writes it too."""
    match value:
        case str():
            return value
        case {"Fn::Join": [str(delimiter), list(parts)]}:
            return delimiter.join(map(flattened, parts))
        case {"Fn::GetAtt": [name, attribute]}:
            return f"<{name}.{attribute}>"
        case {"Ref": name}:
            return f"<{name}>"
    return json.dumps(value)


def _wildcard_findings(role: iam.Role, permission: Permission) -> Iterator[str]:
    """The rule of wildcards has a finding for each of them."""
    for action in permission.actions:
        if "*" in action:
            yield f"IAM5[Action::{action}]"
    for resource in permission.resources:
        text = flattened(cdk.Stack.of(role).resolve(resource))
        if "*" in text:
            yield f"IAM5[Resource::{text}]"
