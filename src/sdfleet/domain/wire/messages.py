"""What travels on the request topic and the fleets' queues."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

from sdfleet.domain import names
from sdfleet.domain.task import JsonObject, Task
from sdfleet.domain.trace import TRACE_HEADER
from sdfleet.domain.wire.reader import parse_json, refuse_deep
from sdfleet.errors import InvalidRequest, MalformedMessage

#: SNS takes 256 KiB with attributes; a raised topic loses subscriber kinds (API Reference, SetTopicAttributes).
MAX_INLINE_BYTES = 240 * 1024
#: A content in the inbox bucket, as we write it: a request's 4 MiB, three times that where every character has to be
#: escaped, and room. Parsed it takes several times its size in memory. Pictures go in as links, not inline.
MAX_CONTENT_BYTES = 16 * 1024 * 1024
#: The attribute that tells our own messages from direct ones.
ACCEPTED = "accepted"
RUNTIME = "runtime"
#: Ends the message group of a tenant's urgent tasks.
_URGENT = "+urgent"
#: SNS makes UUIDs. An id of ours is derived from it, and holds 128 characters.
_PUBLICATION_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True)
class TaskMessage:
    """One message of a fleet's queue: either the content or where it lies."""

    task_id: str
    run: str
    content: JsonObject | None = field(repr=False)
    content_location: str | None


def write_message(task: Task, content: JsonObject) -> str:
    """The body for the request topic; above 240 KiB with the content's location instead of the content."""
    metadata = {
        "id": task.id,
        "runtime": task.runtime,
        "tasktype": task.tasktype,
        "prefix": task.prefix,
        "context": task.context,
        "run": task.run,
    }
    inline = json.dumps({"metadata": metadata, "content": content}, separators=(",", ":"))
    # json.dumps escapes to ASCII: characters are bytes.
    if len(inline) <= MAX_INLINE_BYTES:
        return inline
    return json.dumps({"metadata": metadata, "content_location": task.content_location}, separators=(",", ":"))


def message_attributes(task: Task) -> dict[str, str]:
    attributes = {RUNTIME: task.runtime, ACCEPTED: "1"}
    return {**attributes, TRACE_HEADER: task.trace_header} if task.trace_header else attributes


def message_group(task: Task) -> str | None:
    """The message group of the task's messages: for a fair queue, the tenant that they belong to.

    A tenant's urgent tasks are a tenant of their own, so that they do not wait behind its bulk work.
    None: the queue serves the message as if it had a tenant to itself.
    """
    options = task.options
    if options.group is None:
        return None
    return f"{options.group}{_URGENT}" if options.priority > 0 else options.group


def unwrap(body: str) -> tuple[JsonObject, dict[str, str]]:
    """The message and its SNS attributes, from a raw body or an SNS envelope.

    Raises:
        MalformedMessage: it is no JSON object.
    """
    outer = _object(body)
    if outer.get("Type") == "Notification" and isinstance(outer.get("Message"), str):
        attributes = outer.get("MessageAttributes")
        values = {
            key: str(value.get("Value", ""))
            for key, value in (attributes.items() if isinstance(attributes, dict) else ())
            if isinstance(value, dict)
        }
        return _object(outer["Message"]), values
    return outer, {}


def publication_id(body: str) -> str | None:
    """The id that SNS gave the publication, where the message is an envelope.

    A publication that SNS delivers twice is two SQS messages with one publication id.
    """
    try:
        outer = _object(body)
    except MalformedMessage:
        return None
    value = outer.get("MessageId") if outer.get("Type") == "Notification" else None
    return value if isinstance(value, str) and _PUBLICATION_ID.fullmatch(value) else None


def read_message(body: str) -> TaskMessage:
    """A message of ours.

    Raises:
        MalformedMessage: it is none; with the id where one could be read.
    """
    message, _ = unwrap(body)
    task_id = readable_id(message)
    metadata = message.get("metadata")
    run = metadata.get("run") if isinstance(metadata, dict) else None
    if task_id is None or not isinstance(run, str) or not names.TASK_ID.fullmatch(run):
        raise MalformedMessage("metadata.id or metadata.run is missing or bad", task_id=task_id)
    content, location = message.get("content"), message.get("content_location")
    if isinstance(content, dict):
        try:
            refuse_deep(content)
        except InvalidRequest as error:
            # Adapters copy and write it by recursion.
            raise MalformedMessage("the content is nested too deep", task_id=task_id) from error
        return TaskMessage(task_id, run, content, None)
    if isinstance(location, str):
        return TaskMessage(task_id, run, None, location)
    raise MalformedMessage("neither content nor content_location", task_id=task_id)


def readable_id(message: JsonObject) -> str | None:
    """The task id of a message that may be broken otherwise."""
    outer = message.get("task")
    metadata = (outer if isinstance(outer, dict) else message).get("metadata")
    scripts = message.get("alwayson_scripts")
    for holder, key in ((metadata, "id"), (scripts, "id_task")):
        if isinstance(holder, dict):
            value = holder.get(key)
            if isinstance(value, str) and names.TASK_ID.fullmatch(value):
                return value
    return None


def _object(text: str) -> JsonObject:
    try:
        value = parse_json(text)
    except (ValueError, RecursionError) as error:
        raise MalformedMessage("the message is not JSON") from error
    if not isinstance(value, dict):
        raise MalformedMessage("the message is no JSON object")
    return value
