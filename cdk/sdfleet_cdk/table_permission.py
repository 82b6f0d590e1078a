"""Rights on the table's items. Prompts lie there too: only who works with contents may touch those."""

from __future__ import annotations

from aws_cdk import aws_dynamodb as dynamodb

from sdfleet.domain import names
from sdfleet_cdk.permissions import Permission

_CONTENTS = {"dynamodb:LeadingKeys": f"{names.CONTENT_KEY_PREFIX}*"}


def record_permission(sid: str, table: dynamodb.ITable, *actions: str) -> Permission:
    """Everything of the table but contents."""
    return _permission(sid, table, actions, "ForAllValues:StringNotLike", "Every item but contents, by their keys.")


def content_permission(sid: str, table: dynamodb.ITable, *actions: str) -> Permission:
    """The table's contents, and nothing else of it."""
    return _permission(sid, table, actions, "ForAllValues:StringLike", "Contents are named by their tasks.")


def _permission(sid: str, table: dynamodb.ITable, actions: tuple[str, ...], operator: str, reason: str) -> Permission:
    # True also of a call without keys; every action granted here has them.
    return Permission(
        sid,
        tuple(f"dynamodb:{action}" for action in actions),
        (table.table_arn,),
        reason=reason,
        conditions={operator: _CONTENTS},
    )
