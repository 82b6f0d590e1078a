"""The deployment that a benchmark pretends, and tasks as a handler would have accepted them."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import Any

from sdfleet.aws.task_record import to_item
from sdfleet.domain import names, transitions
from sdfleet.domain.task import ApiVersion, JsonObject, RuntimeType, Submission, Task, TaskType
from sdfleet.domain.wire import messages
from sdfleet.environment import DeploymentEnvironment, HandlerEnvironment, RuntimeEnvironment
from sdfleet_local.plan import REGION

RUNTIME = "bench"
#: Requests before those that are measured: they build clients and open connections.
WARM_UP = 20
_INBOX = "sdfleet-bench-inbox"


def deployment(endpoint_url: str, kind: RuntimeType) -> DeploymentEnvironment:
    queue_url = f"{endpoint_url}/000000000000/{RUNTIME}"
    topic_arn = f"arn:aws:sns:{REGION}:000000000000:"
    return DeploymentEnvironment(
        deployment_id="bench",
        table_name="sdfleet-bench",
        output_bucket="sdfleet-bench-output",
        inbox_bucket=_INBOX,
        request_topic_arn=f"{topic_arn}requests",
        result_topic_arn=f"{topic_arn}results",
        runtimes=(RuntimeEnvironment(RUNTIME, kind, queue_url, f"{queue_url}-dead-letters"),),
    )


def handler_environment() -> dict[str, str]:
    return HandlerEnvironment(log_level="WARNING").to_env()


def api_request(number: int) -> JsonObject:
    """A request of an ordinary client: no id of its own."""
    metadata = {"runtime": RUNTIME, "tasktype": "text-to-image", "prefix": "bench", "context": {"number": number}}
    return {"task": {"metadata": metadata, "content": webui_content(number)}}


def api_event(number: int) -> dict[str, Any]:
    """The same as API Gateway hands it to the function."""
    return {
        "resource": "/{proxy+}",
        "path": "/v1alpha2",
        "httpMethod": "POST",
        "headers": {"Content-Type": "application/json", "Host": "api.example.com"},
        "multiValueHeaders": {"Content-Type": ["application/json"], "Host": ["api.example.com"]},
        "queryStringParameters": None,
        "requestContext": {"requestId": f"request-{number}", "path": "/v1alpha2", "httpMethod": "POST"},
        "body": json.dumps(api_request(number)),
        "isBase64Encoded": False,
    }


def webui_content(number: int) -> JsonObject:
    """A request as clients send it; the number keeps one from being another."""
    return {
        "prompt": f"a lighthouse on a cliff, number {number}",
        "negative_prompt": "blurry, lowres",
        "sampler_name": "Euler a",
        "seed": number,
        "steps": 20,
        "width": 512,
        "height": 512,
    }


def comfyui_content(number: int, *, work_seconds: float) -> JsonObject:
    """A small picture and `work_seconds` of a node that sleeps; the number keeps the server's cache out of it."""
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": number}},
        "2": {"class_type": "SdfleetSleep", "inputs": {"image": ["1", 0], "seconds": work_seconds}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "sdfleet-bench"}},
    }


def filling(contents: list[JsonObject], tasktype: TaskType) -> dict[str, Any]:
    """What the stub has to hold before it: records and messages of accepted tasks, one for each content."""
    items, bodies = {}, {}
    for content in contents:
        task = _accepted(tasktype, content)
        item = to_item(task)
        items[item["pk"]["S"]] = item
        bodies[str(uuid.uuid4())] = messages.write_message(task, content)
    return {"items": items, "messages": bodies}


def _accepted(tasktype: TaskType, content: JsonObject) -> Task:
    task_id, run = uuid.uuid4().hex, uuid.uuid4().hex
    now = datetime.now(UTC)
    submission = Submission(ApiVersion.V1ALPHA2, id=task_id, runtime=RUNTIME, tasktype=tasktype, content=content)
    task = transitions.new_task(
        submission,
        task_id=task_id,
        run=run,
        runtime=RUNTIME,
        fingerprint="0" * 64,
        content_location=names.s3_url(_INBOX, names.inbox_key(task_id, run)),
        now=now,
    )
    return transitions.dispatched(task, now=now)
