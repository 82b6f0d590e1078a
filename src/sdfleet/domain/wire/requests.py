"""The request bodies: v1alpha2, v1alpha1, direct messages, and the EC2 service's `POST /task`."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from sdfleet.domain.task import ApiVersion, JsonObject, OutputFormat, Submission, TaskOptions, TaskType
from sdfleet.domain.wire.draft import Draft, FieldPaths
from sdfleet.domain.wire.model_choice import MODEL_FIELDS, NO_CHOICE, move_model_choice
from sdfleet.domain.wire.reader import Reader

#: Routing fields of v1alpha1, taken out before the runtime sees the request (wire contract, Requests).
_V1ALPHA1_ROUTING = (
    "task",
    "sd_model_checkpoint",
    "id_task",
    "save_dir",
    "image_link",
    "uid",
    "sd_vae",
    "override_settings",
)
#: Attributes of a direct message.
_RUNTIME_ATTRIBUTE = "runtime"
_MODEL_ATTRIBUTE = "sd_model_checkpoint"
_METADATA_KEYS = (
    "id", "runtime", "tasktype", "prefix", "context",
    "callback_url", "priority", "timeout_s", "output_format", "group",
)  # fmt: skip
#: An SQS message group id has 128 of these characters (API Reference, SendMessage); eight are left for
#: `messages.message_group`.
MAX_GROUP_LENGTH = 120
_GROUP = re.compile(r"[!-~]+")
#: Above the 12 hours for which SQS can keep a message invisible, a task cannot be held by one instance.
MAX_TIMEOUT_S = 11 * 3600
MAX_PRIORITY = 9

#: `POST /task` names the WebUI's own path.
TASK_APIS = {
    "/sdapi/v1/txt2img": TaskType.TEXT_TO_IMAGE,
    "/sdapi/v1/img2img": TaskType.IMAGE_TO_IMAGE,
    "/sdapi/v1/extra-single-image": TaskType.EXTRA_SINGLE_IMAGE,
    "/sdapi/v1/extra-batch-images": TaskType.EXTRA_BATCH_IMAGES,
}


def read_v1alpha2(body: JsonObject) -> Draft:
    reader = Reader()
    task = reader.object(body, "task", "task")
    if "task" not in body:
        # Name what is missing inside too: the caller learns everything at once.
        task = {key: body[key] for key in ("metadata", "content") if key in body}
    return _read_task(reader, task, "task.")


def read_direct_message(body: JsonObject, attributes: Mapping[str, str]) -> Draft:
    """A message published by somebody else: v1alpha2 with or without the outer `task`, or the v1alpha1 form.

    Its attributes stand in for a runtime or model that the body does not name; a model alone is enough for routing.
    """
    if isinstance(body.get("task"), dict):
        return _read_task(Reader(), _routed(body["task"], attributes), "task.", runtime_required=False)
    scripts = body.get("alwayson_scripts")
    if "metadata" not in body and isinstance(scripts, dict) and ("task" in scripts or "id_task" in scripts):
        return read_v1alpha1({**body, "alwayson_scripts": _with_model(scripts, attributes)})
    return _read_task(Reader(), _routed(body, attributes), "", runtime_required=False)


def _routed(task: JsonObject, attributes: Mapping[str, str]) -> JsonObject:
    metadata, content = task.get("metadata"), task.get("content")
    if not isinstance(metadata, dict) or "runtime" in metadata:
        return task
    if attributes.get(_RUNTIME_ATTRIBUTE):
        return {**task, "metadata": {**metadata, "runtime": attributes[_RUNTIME_ATTRIBUTE]}}
    scripts = content.get("alwayson_scripts", {}) if isinstance(content, dict) else None
    if isinstance(content, dict) and isinstance(scripts, dict):
        return {**task, "content": {**content, "alwayson_scripts": _with_model(scripts, attributes)}}
    return task


def _with_model(scripts: JsonObject, attributes: Mapping[str, str]) -> JsonObject:
    if "sd_model_checkpoint" in scripts or not attributes.get(_MODEL_ATTRIBUTE):
        return scripts
    return {**scripts, "sd_model_checkpoint": attributes[_MODEL_ATTRIBUTE]}


def _read_task(reader: Reader, task: JsonObject, path: str, *, runtime_required: bool = True) -> Draft:
    metadata = reader.object(task, "metadata", f"{path}metadata")
    content = dict(reader.object(task, "content", f"{path}content"))
    at = f"{path}metadata."
    reader.known_keys(metadata, _METADATA_KEYS, f"{path}metadata")
    tasktype = reader.choice(metadata, "tasktype", f"{at}tasktype", TaskType)
    runtime = reader.text(metadata, "runtime", f"{at}runtime", required=runtime_required)
    task_id = reader.task_id(metadata, "id", f"{at}id")
    prefix = reader.prefix(metadata, "prefix", f"{at}prefix")
    context = reader.context(metadata, f"{at}context")
    options = _read_options(reader, metadata, at)
    # A workflow's keys are the ids of its nodes.
    choice = NO_CHOICE if tasktype is TaskType.PIPELINE else move_model_choice(reader, content, f"{path}content")
    if not runtime_required and "runtime" not in metadata and choice.model is None:
        reader.refuse(f"{at}runtime", "is missing, and so are the message attributes runtime and sd_model_checkpoint")
    return Draft(
        api_version=ApiVersion.V1ALPHA2,
        id=task_id,
        runtime=runtime,
        tasktype=tasktype,
        content=content,
        at=FieldPaths(
            f"{at}tasktype",
            f"{at}runtime",
            model=choice.path,
            content=f"{path}content",
            callback_url=f"{at}callback_url",
        ),
        prefix=prefix,
        context=context,
        options=options,
        model=choice.model,
        errors=reader.errors,
    )


def _read_options(reader: Reader, metadata: JsonObject, at: str) -> TaskOptions:
    group = None
    if metadata.get("group") is not None:
        group = reader.text(metadata, "group", f"{at}group")
        if group is not None and (len(group) > MAX_GROUP_LENGTH or not _GROUP.fullmatch(group)):
            reader.refuse(f"{at}group", f"must be at most {MAX_GROUP_LENGTH} printable ASCII characters, no spaces")
    output_format = None
    if metadata.get("output_format") is not None:
        output_format = reader.choice(metadata, "output_format", f"{at}output_format", OutputFormat)
    callback_url = None
    if metadata.get("callback_url") is not None:
        # Where it may lead only the deployment knows.
        callback_url = reader.text(metadata, "callback_url", f"{at}callback_url")
    return TaskOptions(
        priority=reader.integer(metadata, "priority", f"{at}priority", low=0, high=MAX_PRIORITY) or 0,
        timeout_s=reader.integer(metadata, "timeout_s", f"{at}timeout_s", low=1, high=MAX_TIMEOUT_S),
        output_format=output_format,
        group=group,
        callback_url=callback_url,
    )


def read_v1alpha1(body: JsonObject) -> Draft:
    reader = Reader()
    at = "alwayson_scripts."
    scripts = reader.object(body, "alwayson_scripts", "alwayson_scripts")
    tasktype = reader.choice(scripts, "task", f"{at}task", TaskType)
    model = reader.text(scripts, "sd_model_checkpoint", f"{at}sd_model_checkpoint")
    task_id = reader.task_id(scripts, "id_task", f"{at}id_task")
    prefix = reader.prefix(scripts, "save_dir", f"{at}save_dir")
    content: JsonObject = {key: value for key, value in body.items() if key != "alwayson_scripts"}
    content["alwayson_scripts"] = {
        key: value for key, value in scripts.items() if key not in _V1ALPHA1_ROUTING or key in MODEL_FIELDS
    }
    move_model_choice(reader, content, "")
    moved: tuple[tuple[str, str], ...] = ()
    if scripts.get("image_link") is not None:
        link = reader.text(scripts, "image_link", f"{at}image_link")
        images = content.get("init_images")
        content["init_images"] = [link, *(images[1:] if isinstance(images, list) else [])]
        moved = (("init_images[0]", f"{at}image_link"),)
    return Draft(
        api_version=ApiVersion.V1ALPHA1,
        id=task_id,
        runtime=None,
        tasktype=tasktype,
        content=content,
        at=FieldPaths(
            f"{at}task", f"{at}sd_model_checkpoint", model=f"{at}sd_model_checkpoint", content="", moved=moved
        ),
        prefix=prefix,
        model=model,
        errors=reader.errors,
    )


def read_task_api(body: JsonObject) -> Draft:
    """`{"api": "/sdapi/v1/txt2img", "payload": {...}}`; acceptance finds the runtime."""
    reader = Reader()
    api = reader.text(body, "api", "api")
    payload = dict(reader.object(body, "payload", "payload"))
    tasktype = TASK_APIS.get(api.rstrip("/")) if api else None
    if api and tasktype is None:
        reader.refuse("api", f"must be one of {', '.join(TASK_APIS)}")
    choice = move_model_choice(reader, payload, "payload")
    return Draft(
        api_version=ApiVersion.TASK,
        id=None,
        runtime=None,
        tasktype=tasktype,
        content=payload,
        at=FieldPaths("api", "api", model=choice.path, content="payload"),
        model=choice.model,
        errors=reader.errors,
    )


def fingerprint(submission: Submission, runtime: str) -> str:
    """SHA-256 of everything that makes two submissions of one id the same task."""
    options = submission.options
    canonical: dict[str, Any] = {
        "runtime": runtime,
        "tasktype": submission.tasktype,
        "prefix": submission.prefix,
        "context": submission.context,
        "options": [options.priority, options.timeout_s, options.output_format, options.group],
        "content": submission.content,
    }
    if options.callback_url is not None:
        canonical["callback_url"] = options.callback_url
    text = json.dumps(canonical, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
