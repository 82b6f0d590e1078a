"""A task as a DynamoDB item, and back. Context travels as JSON text, times as ISO text that sorts by time.

A write is billed by the KiB of the whole item, five times in a task's life: what has its default or stands elsewhere in
the item is left out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from sdfleet.domain import transitions
from sdfleet.domain.task import (
    RECORD_LIFETIME,
    ApiVersion,
    Artifact,
    Claim,
    Failure,
    OutputFormat,
    Task,
    TaskOptions,
    TaskStatus,
    TaskType,
)

T = TypeVar("T")

#: DynamoDB's `{"S": "text"}`.
Attribute = Mapping[str, Any]
Item = Mapping[str, Attribute]

PARTITION_KEY = "pk"
#: Where DynamoDB's time-to-live looks: epoch seconds. It deletes hours late, so readers check it too.
TTL_ATTRIBUTE = "ttl"
#: The two keys of the index of due tasks; absent from a record that wants nothing.
DUE_SHARD = "due_shard"
DUE_AT = "due_at"

#: One partition of an index takes 1,000 writes a second; four are beyond what the fleets take.
_SHARDS = 4
DUE_SHARDS = tuple(f"due#{number}" for number in range(_SHARDS))

_TASK_PREFIX = "task#"
_NO_OPTIONS = TaskOptions()


def task_key(task_id: str) -> str:
    return f"{_TASK_PREFIX}{task_id}"


def task_id_of(key: str) -> str:
    return key.removeprefix(_TASK_PREFIX)


def idempotency_record_key(key: str) -> str:
    """Hashed: clients choose the key, and DynamoDB's keys end at 2 KiB."""
    return f"idem#{hashlib.sha256(key.encode()).hexdigest()}"


def sortable(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def to_item(task: Task) -> dict[str, Attribute]:
    item: dict[str, Attribute] = {
        PARTITION_KEY: _text(task_key(task.id)),
        TTL_ATTRIBUTE: _number(int((task.created_at + RECORD_LIFETIME).timestamp())),
        "run": _text(task.run),
        "api_version": _text(task.api_version),
        "runtime": _text(task.runtime),
        "tasktype": _text(task.tasktype),
        "prefix": _text(task.prefix),
        "context": _json(task.context),
        "fingerprint": _text(task.fingerprint),
        "content_location": _text(task.content_location),
        "created_at": _text(sortable(task.created_at)),
        "expires_at": _text(sortable(task.expires_at)),
        "timeout_s": _number(task.timeout.total_seconds()),
        "max_attempts": _number(task.max_attempts),
        "status": _text(task.status),
        "revision": _number(task.revision),
    }
    if task.options != _NO_OPTIONS:
        changed = {name: value for name, value in vars(task.options).items() if value != getattr(_NO_OPTIONS, name)}
        item["options"] = _json(changed)
    for name, number, default in (
        ("attempt", task.attempt, 1),
        ("losses", task.losses, 0),
        ("progress", task.progress, 0.0),
    ):
        if number != default:
            item[name] = _number(number)
    if task.cancel_requested:
        item["cancel_requested"] = {"BOOL": True}
    if task.artifacts:
        item["artifacts"] = _json([_artifact_fields(artifact) for artifact in task.artifacts])
    for name, text in (
        ("model", task.model),
        ("output_url", task.output_url),
        ("trace_header", task.trace_header),
    ):
        if text is not None:
            item[name] = _text(text)
    for name, time in (
        ("dispatched_at", task.dispatched_at),
        ("started_at", task.started_at),
        ("finished_at", task.finished_at),
        ("notified_at", task.notified_at),
    ):
        if time is not None:
            item[name] = _text(sortable(time))
    if task.claim is not None:
        item["claim"] = _json({**vars(task.claim), "lease_until": sortable(task.claim.lease_until)})
    if task.error is not None:
        item["error"] = _json(vars(task.error))
    due = transitions.due_at(task)
    if due is not None:
        item[DUE_SHARD] = _text(_shard(task.id))
        item[DUE_AT] = _text(sortable(due))
    return item


def from_item(item: Item) -> Task:
    """Attributes that this version does not know are left alone; those it does not find have their defaults."""
    return Task(
        id=task_id_of(_read(item, PARTITION_KEY)),
        run=_read(item, "run"),
        api_version=ApiVersion(_read(item, "api_version")),
        runtime=_read(item, "runtime"),
        tasktype=TaskType(_read(item, "tasktype")),
        prefix=_read(item, "prefix"),
        context=json.loads(_read(item, "context")),
        fingerprint=_read(item, "fingerprint"),
        content_location=_read(item, "content_location"),
        created_at=datetime.fromisoformat(_read(item, "created_at")),
        expires_at=datetime.fromisoformat(_read(item, "expires_at")),
        timeout=timedelta(seconds=float(_read(item, "timeout_s"))),
        max_attempts=int(_read(item, "max_attempts")),
        options=_optional(item, "options", _options, TaskOptions()),
        model=_optional(item, "model", str, None),
        status=TaskStatus(_read(item, "status")),
        attempt=_optional(item, "attempt", int, 1),
        losses=_optional(item, "losses", int, 0),
        progress=_optional(item, "progress", float, 0.0),
        claim=_optional(item, "claim", _claim, None),
        cancel_requested=_optional(item, "cancel_requested", bool, False),
        dispatched_at=_optional(item, "dispatched_at", datetime.fromisoformat, None),
        started_at=_optional(item, "started_at", datetime.fromisoformat, None),
        finished_at=_optional(item, "finished_at", datetime.fromisoformat, None),
        notified_at=_optional(item, "notified_at", datetime.fromisoformat, None),
        artifacts=_optional(item, "artifacts", _artifacts, ()),
        output_url=_optional(item, "output_url", str, None),
        error=_optional(item, "error", _failure, None),
        trace_header=_optional(item, "trace_header", str, None),
        revision=int(_read(item, "revision")),
    )


def _shard(task_id: str) -> str:
    return DUE_SHARDS[hashlib.sha256(task_id.encode()).digest()[0] % _SHARDS]


def _text(value: str) -> Attribute:
    return {"S": str(value)}


def _number(value: float) -> Attribute:
    return {"N": repr(value)}


def _json(value: Any) -> Attribute:
    return {"S": json.dumps(value, separators=(",", ":"))}


def _read(item: Item, name: str) -> Any:
    (value,) = item[name].values()
    return value


def _optional(item: Item, name: str, read: Callable[[Any], T], default: T) -> T:
    return read(_read(item, name)) if name in item else default


def _options(text: str) -> TaskOptions:
    fields = json.loads(text)
    output_format = fields.get("output_format")
    return TaskOptions(
        priority=fields.get("priority", 0),
        timeout_s=fields.get("timeout_s"),
        output_format=OutputFormat(output_format) if output_format else None,
        group=fields.get("group"),
        callback_url=fields.get("callback_url"),
    )


def _claim(text: str) -> Claim:
    fields = json.loads(text)
    return Claim(
        token=fields["token"],
        instance_id=fields["instance_id"],
        lease_until=datetime.fromisoformat(fields["lease_until"]),
    )


def _artifact_fields(artifact: Artifact) -> dict[str, Any]:
    fields = {"key": artifact.key, "content_type": artifact.content_type, "size_bytes": artifact.size_bytes}
    if not artifact.url.endswith(artifact.key):
        return {**fields, "url": artifact.url}
    # The key ends the URL of an object: only what is before it is new.
    return {**fields, "at": artifact.url.removesuffix(artifact.key)}


def _artifacts(text: str) -> tuple[Artifact, ...]:
    return tuple(
        Artifact(
            key=file["key"],
            url=file["url"] if "url" in file else file["at"] + file["key"],
            content_type=file["content_type"],
            size_bytes=file["size_bytes"],
        )
        for file in json.loads(text)
    )


def _failure(text: str) -> Failure:
    fields = json.loads(text)
    return Failure(code=fields["code"], message=fields["message"], permanent=fields["permanent"])
