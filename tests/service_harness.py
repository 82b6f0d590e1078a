"""The request handlers on memory: what every test of `sdfleet_lambdas` starts from."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

from builders import a_deployment, a_runtime_environment
from sdfleet.domain.task import RuntimeType, Task
from sdfleet.environment import DeploymentEnvironment
from sdfleet.errors import ServiceUnavailable
from sdfleet.memory.artifact_store import MemoryArtifactStore
from sdfleet.memory.clock import FakeClock
from sdfleet.memory.content_items import MemoryContentItems
from sdfleet.memory.task_queue import MemoryTaskQueue
from sdfleet.memory.task_store import MemoryTaskStore
from sdfleet.memory.topic import MemoryTopic
from sdfleet.memory.waiting_room import MemoryWaitingRoom
from sdfleet_lambdas import api
from sdfleet_lambdas.composition import Services
from sdfleet_lambdas.inbox import Inbox
from sdfleet_lambdas.model_catalog import ModelCatalog

EVENTS = Path(__file__).parent / "lambdas" / "events"
MODEL_BUCKET = "sdfleet-test-models"
MODEL = "v1-5-pruned-emaonly.safetensors"
#: One pixel.
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

STATIC = a_runtime_environment(model_filename=MODEL)
DYNAMIC = a_runtime_environment(
    name="sddynamic",
    model_filename="sdxl.safetensors",
    dynamic_model=True,
    dead_letter_queue_url="http://127.0.0.1:1/000000000000/sddynamic-dead-letters",
)
COMFYUI = a_runtime_environment(name="comfy", type=RuntimeType.COMFYUI)
CUSTOM = a_runtime_environment(name="custom", type=RuntimeType.CUSTOM)
PATTERN = a_runtime_environment(name="pattern", type=RuntimeType.TEST_PATTERN, model_filename="pattern.safetensors")
RUNTIMES = (STATIC, DYNAMIC, COMFYUI, CUSTOM, PATTERN)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: Any

    @property
    def bad_paths(self) -> list[str]:
        return [error["path"] for error in self.body["errors"]]


@dataclass
class Harness:
    deployment: DeploymentEnvironment = field(
        default_factory=lambda: a_deployment(runtimes=RUNTIMES, model_bucket=MODEL_BUCKET)
    )
    waiting_cap: int = 2
    clock: FakeClock = field(default_factory=FakeClock)
    artifacts: MemoryArtifactStore = field(default_factory=MemoryArtifactStore)
    requests: MemoryTopic = field(default_factory=MemoryTopic)
    results: MemoryTopic = field(default_factory=MemoryTopic)

    def __post_init__(self) -> None:
        numbers = count(1)
        self.slept: list[float] = []
        #: Called after each sleep: the world goes on while a handler waits.
        self.meanwhile: Callable[[], None] = lambda: None
        self.tasks = MemoryTaskStore(self.clock)
        self.queues = {runtime.name: MemoryTaskQueue(self.clock) for runtime in self.deployment.runtimes}
        names = [url.rsplit("/", 1)[-1] for url in self.deployment.dead_letter_queue_urls]
        self.dead_letter_queues = {name: MemoryTaskQueue(self.clock) for name in names}
        self.content_items = MemoryContentItems(self.clock)
        self.waiting_room = MemoryWaitingRoom(self.waiting_cap)
        self.services = Services(
            deployment=self.deployment,
            tasks=self.tasks,
            artifacts=self.artifacts,
            inbox=Inbox(self.content_items, self.artifacts, self.deployment.inbox_bucket),
            requests=self.requests,
            results=self.results,
            queues=self.queues,
            dead_letter_queues=self.dead_letter_queues,
            waiting_room=self.waiting_room,
            models=ModelCatalog(self.artifacts, self.clock, self.deployment.model_bucket),
            clock=self.clock,
            link_lifetime=timedelta(hours=1),
            new_id=lambda: f"made-{next(numbers)}",
            sleep=self._sleep,
        )

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.advance(timedelta(seconds=seconds))
        self.meanwhile()

    def rewire(self, **changes: Any) -> None:
        self.services = replace(self.services, **changes)

    def call(self, method: str, path: str, body: Any = None, **event: Any) -> Answer:
        return self.send(an_event(method, path, body, **event))

    def send(self, event: dict[str, Any]) -> Answer:
        response = api.handle(event, self.services)
        assert isinstance(response["body"], str)
        body = json.loads(response["body"]) if response["body"] else None
        return Answer(response["statusCode"], response["headers"], body)

    def post(self, body: Any, path: str = "/v1alpha2", **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.call("POST", path, body, headers={"content-type": "application/json", **named})

    def submit(self, **metadata: Any) -> str:
        """A task's id, accepted."""
        answer = self.post(a_request(**metadata))
        assert answer.status == 200, answer.body
        return str(answer.body["id"])

    def task(self, task_id: str = "test-t2i") -> Task:
        task = self.tasks.load(task_id)
        assert task is not None
        return task

    def change(self, transition: Callable[[Task], Task], task_id: str = "test-t2i") -> Task:
        task = self.task(task_id)
        return self.tasks.save(transition(task), expecting=task)

    def published_runs(self) -> set[str]:
        return {json.loads(sent.body)["metadata"]["run"] for sent in self.requests.published}

    def notices(self) -> list[dict[str, Any]]:
        return [json.loads(sent.body) for sent in self.results.published]

    def kept(self) -> list[dict[str, Any]]:
        urls = [url for url in self.artifacts.urls() if "/dead-letters/" in url]
        return [json.loads(self.artifacts.get(url, max_bytes=10**6)) for url in urls]


def a_request(content: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    """The first example of the guidance."""
    named = {"id": "test-t2i", "runtime": "sdruntime", "tasktype": "text-to-image", "prefix": "output", **metadata}
    return {
        "task": {
            "metadata": {key: value for key, value in named.items() if value is not None},
            "content": {"alwayson_scripts": {}, "prompt": "A dog", "steps": 16} if content is None else content,
        }
    }


def an_event(method: str, path: str, body: Any = None, **changes: Any) -> dict[str, Any]:
    """A recorded event with another method, path and body; a str body goes as it is."""
    event: dict[str, Any] = json.loads((EVENTS / "api_proxy_post.json").read_text())
    event.update({"httpMethod": method, "path": path, "multiValueHeaders": None})
    event["requestContext"]["path"] = f"/prod{path}"
    event["headers"] = {"Content-Type": "application/json"} if body is not None else {}
    event["body"] = body if body is None or isinstance(body, str) else json.dumps(body)
    return {**event, **changes}


def sqs_event(*bodies: str, queue: str = "sdfleet-submissions", **attributes: str) -> dict[str, Any]:
    """A recorded batch with other bodies; ids are `m-1`, `m-2`, ..."""
    recorded = json.loads((EVENTS / "sqs_raw_message.json").read_text())["Records"][0]
    named = {name: {"stringValue": value, "dataType": "String"} for name, value in attributes.items()}
    return {
        "Records": [
            {
                **recorded,
                "messageId": f"m-{number}",
                "body": body,
                "messageAttributes": named,
                "eventSourceARN": f"arn:aws:sqs:us-east-1:123456789012:{queue}",
            }
            for number, body in enumerate(bodies, start=1)
        ]
    }


def failed_ids(answer: dict[str, Any]) -> list[str]:
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


class Fuse:
    """Blows at the `at`-th step, counted from 0; None: never."""

    def __init__(self, at: int | None = None, error: BaseException | None = None) -> None:
        self.at = at
        self.error = error or ServiceUnavailable("blown by the test")
        self.steps: list[str] = []

    def step(self, name: str) -> None:
        self.steps.append(name)
        if len(self.steps) - 1 == self.at:
            raise self.error


class Fused:
    """`target`, whose named methods take a step before and a step after their effect."""

    def __init__(self, target: Any, fuse: Fuse, *methods: str) -> None:
        self._target = target
        self._fuse = fuse
        self._methods = methods

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._target, name)
        if name not in self._methods:
            return method

        def fused(*args: Any, **kwargs: Any) -> Any:
            self._fuse.step(f"before {name}")
            outcome = method(*args, **kwargs)
            self._fuse.step(f"after {name}")
            return outcome

        return fused


def fuse_submission(harness: Harness, fuse: Fuse) -> None:
    """Every effect of a submission, in its order, may fail before or after it happened."""
    services = harness.services
    harness.rewire(
        inbox=Fused(services.inbox, fuse, "put"),
        tasks=Fused(services.tasks, fuse, "create", "save"),
        requests=Fused(services.requests, fuse, "publish"),
    )
