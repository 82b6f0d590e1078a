"""Writes docs/reference/permissions.md from the templates themselves: `python -m sdfleet_cdk.permissions_reference`."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_iam as iam

from sdfleet.config import Config, placed
from sdfleet_cdk.app import add_stacks
from sdfleet_cdk.permissions import REASON_METADATA, flattened

#: The deployment that is described: the configuration as it comes, with a bucket for models.
_REGION = "us-west-2"
_KEYS = {"modelBucketArn": "arn:aws:s3:::my-models"}
_PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "permissions.md"
_HEAD = f"""\
# Permissions

Written by `python -m sdfleet_cdk.permissions_reference`; a test fails when it is not current. Every IAM statement of
the templates of a deployment `sdfleet` in {_REGION} with one runtime and a model bucket: first what each process may
do, a role each, then who may use the resources that have a policy of their own. `*` in an action or a resource comes
with its reason. What only the deployment knows stands as `<name>`.
"""
#: What a resource is called, by the property that says it.
_NAMES = ("LogGroupName", "FunctionName", "BucketName", "QueueName", "TopicName", "RestApiName", "Name")
_REFERENCE = re.compile(r"<([A-Za-z0-9]+)(\.[A-Za-z.]+)?>")
#: Of an asset: another one with every change of the code, and no matter here.
_HASH = re.compile(r"[0-9a-f]{64}")
_RESOURCE_POLICIES = {
    "AWS::S3::BucketPolicy": "Bucket",
    "AWS::SQS::QueuePolicy": "Queues",
    "AWS::SNS::TopicPolicy": "Topics",
}


def reference() -> str:
    config = placed(Config.model_validate(_KEYS), _REGION)
    with tempfile.TemporaryDirectory() as directory:
        app = cdk.App(outdir=directory, analytics_reporting=False)
        stacks = add_stacks(app, config)
        assembly = app.synth()
        parts = [_HEAD, "\n## Processes\n"]
        resources: list[str] = []
        for stack in (stacks.foundation, stacks.service):
            template = assembly.get_stack_by_name(stack.stack_name).template
            parts += [_readable(part, template) for part in _roles(stack, template["Resources"])]
            resources += [_readable(part, template) for part in _resource_policies(template["Resources"])]
        return "".join([*parts, "\n## Resources\n", *resources])


def _readable(text: str, template: Mapping[str, Any]) -> str:
    """With names in the place of logical ids, which say little and change."""

    def name(match: re.Match[str]) -> str:
        logical_id, attribute = match[1], match[2] or ""
        if parameter := template.get("Parameters", {}).get(logical_id):
            return f"<{parameter.get('Default', logical_id)}>"
        properties = template["Resources"].get(logical_id, {}).get("Properties", {})
        own = next((flattened(properties[key]) for key in _NAMES if key in properties), logical_id)
        return f"<{own}{attribute}>"

    return _HASH.sub("<hash>", _REFERENCE.sub(name, text))


def _roles(stack: cdk.Stack, resources: Mapping[str, Any]) -> Iterator[str]:
    reasons = _reasons(stack)
    for logical_id, resource in sorted(resources.items()):
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::IAM::Role":
            trusted = properties["AssumeRolePolicyDocument"]["Statement"]
            service = ", ".join(flattened(one["Principal"]["Service"]) for one in trusted)
            title = properties.get("Description", logical_id)
            yield f"\n### {title}\n\nTaken on by {service}.\n\n"
            if managed := properties.get("ManagedPolicyArns"):
                yield f"AWS's own policies: {', '.join(flattened(one) for one in managed)}.\n\n"
            statements = [
                one for policy in properties.get("Policies", ()) for one in policy["PolicyDocument"]["Statement"]
            ]
            yield _table(statements, reasons.get(logical_id, {}))
        elif resource["Type"] in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
            yield f"\n### {logical_id}\n\n{_table(properties['PolicyDocument']['Statement'], {})}"


def _reasons(stack: cdk.Stack) -> dict[str, dict[str, str]]:
    """By the role's logical id, then by statement."""
    found: dict[str, dict[str, str]] = {}
    for construct in stack.node.find_all():
        if isinstance(construct, iam.Role) and isinstance(construct.node.default_child, cdk.CfnElement):
            logical_id = stack.resolve(construct.node.default_child.logical_id)
            entries = [entry.data for entry in construct.node.metadata if entry.type == REASON_METADATA]
            found[logical_id] = {entry["sid"]: entry["reason"] for entry in entries}
    return found


def _resource_policies(resources: Mapping[str, Any]) -> Iterator[str]:
    for _, resource in sorted(resources.items()):
        properties = resource.get("Properties", {})
        if key := _RESOURCE_POLICIES.get(resource["Type"]):
            owner = properties[key]
            names = ", ".join(map(flattened, owner if isinstance(owner, list) else [owner]))
            yield f"\n### {resource['Type'].split('::')[1]} {_code(names)}\n\n"
            yield _policy_table(properties["PolicyDocument"]["Statement"])
        elif resource["Type"] == "AWS::Lambda::Permission":
            yield f"\n### Lambda {_code(flattened(properties['FunctionName']))}\n\n"
            source = flattened(properties.get("SourceArn", "any"))
            yield f"`{properties['Action']}` for {flattened(properties['Principal'])}, from {_code(source)}.\n"


def _table(statements: list[Mapping[str, Any]], reasons: Mapping[str, str]) -> str:
    rows = ["| Statement | Actions | On | Why so wide |\n|---|---|---|---|\n"]
    for one in statements:
        sid = one.get("Sid", "")
        condition = f"<br>if {_code(flattened(one['Condition']))}" if "Condition" in one else ""
        rows.append(
            f"| {sid} | {_cell(one['Action'])} | {_cell(one['Resource'])}{condition} | {reasons.get(sid, '')} |\n"
        )
    return "".join(rows)


def _policy_table(statements: list[Mapping[str, Any]]) -> str:
    rows = ["| Effect | Who | Actions | If |\n|---|---|---|---|\n"]
    for one in statements:
        principal = one["Principal"]
        values = principal.values() if isinstance(principal, dict) else [principal]
        who = ", ".join(_cell(value) for value in values)
        condition = _code(flattened(one["Condition"])) if "Condition" in one else ""
        rows.append(f"| {one['Effect']} | {who} | {_cell(one['Action'])} | {condition} |\n")
    return "".join(rows)


def _cell(value: Any) -> str:
    return "<br>".join(_code(flattened(one)) for one in (value if isinstance(value, list) else [value]))


def _code(text: str) -> str:
    return f"`{text}`"


if __name__ == "__main__":
    _PAGE.write_text(reference())
