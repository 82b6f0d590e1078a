"""What clients do during the storm: submit by both doors, cancel, send things twice, send rubbish."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus

import httpx

from sdfleet.aws.clients import Clients
from sdfleet.domain import names
from sdfleet.domain.task import JsonObject
from sdfleet.errors import LocalModeError
from sdfleet_local.chaos.workload import Workload
from sdfleet_local.plan import DEPLOYMENT_ID

RUNTIME = "sdruntime"
#: The prefix of all ids: what carries another is somebody else's.
TASK_IDS = "chaos-"
POISON_IDS = "poison-"

#: Requests at once: enough to keep the queue filled on two cores.
_SENDERS = 4
#: Every n-th task is published on the request topic instead of posted.
_DIRECT_EVERY = 10
#: Every n-th has a content that does not fit into a message.
_LARGE_EVERY = 50
_LARGE_BYTES = 300_000
_RELEASE_LOOK_S = 0.05
#: A client's patience with a service that answers 5xx or 429.
_SUBMIT_WITHIN_S = 60.0


def task_ids(tasks: int, seed: int) -> list[str]:
    return [f"{TASK_IDS}{seed}-{number:05d}" for number in range(tasks)]


@dataclass(frozen=True)
class Poison:
    """A message that is no task."""

    #: In its body, to find it again.
    mark: str
    #: The id that can be read in it: its sender is owed a failure notice.
    readable_id: str | None


class Traffic:
    """Used by several threads."""

    def __init__(
        self, outputs: dict[str, str], clients: Clients, workload: Workload, *, tasks: int, seed: int, share: float = 1
    ) -> None:
        """`share`: of the tasks, to be submitted at once; for the others see `release`."""
        self._outputs = outputs
        self._clients = clients
        self._workload = workload
        self._ids = task_ids(tasks, seed)
        self._released = share * tasks
        self._http = httpx.Client(
            base_url=outputs["FrontApiEndpoint"],
            headers={"x-api-key": outputs["ApiKey"]},
            timeout=60.0,
            trust_env=False,
            limits=httpx.Limits(max_connections=_SENDERS + 2),
        )
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        #: Ids that the service has accepted, in that order.
        self.accepted: list[str] = []
        self.refused: list[str] = []
        #: Ids whose cancel was accepted.
        self.cancelled: set[str] = set()
        #: The codes with which accepted tasks have to fail, by id.
        self.flaws: dict[str, str] = {}
        self.poisons: list[Poison] = []
        self.duplicates = 0

    def submit_all(self) -> None:
        with ThreadPoolExecutor(_SENDERS) as pool:
            list(pool.map(self._submit, range(len(self._ids))))

    def release(self, share: float) -> None:
        """This share of the tasks, at least, may be submitted."""
        self._released = max(self._released, share * len(self._ids))

    def stop(self) -> None:
        self._stopping.set()

    def close(self) -> None:
        self._http.close()

    def _submit(self, number: int) -> None:
        while number >= self._released and not self._stopping.wait(_RELEASE_LOOK_S):
            pass
        if self._stopping.is_set():
            return
        task_id = self._ids[number]
        is_large = number % _LARGE_EVERY == _LARGE_EVERY - 1
        content = self._workload.content(number, task_id, padding=_LARGE_BYTES if is_large else 0)
        tasktype = self._workload.tasktype
        metadata = {"id": task_id, "runtime": RUNTIME, "tasktype": tasktype, "context": {"number": number}}
        task: JsonObject = {"metadata": metadata, "content": content}
        is_direct = number % _DIRECT_EVERY == _DIRECT_EVERY - 1 and not is_large
        was_accepted = self._publish(json.dumps(task)) if is_direct else self._post({"task": task})
        with self._lock:
            (self.accepted if was_accepted else self.refused).append(task_id)
            if flaw := self._workload.flaw(number):
                self.flaws[task_id] = flaw

    def _publish(self, body: str) -> bool:
        self._clients.sns.publish(TopicArn=self._outputs["sdNotificationLambdaARN"], Message=body)
        return True

    def _post(self, body: JsonObject) -> bool:
        """The same id with the same content is the same task: it may be sent until it is accepted."""
        end = time.monotonic() + _SUBMIT_WITHIN_S
        while not self._stopping.is_set() and time.monotonic() < end:
            try:
                answer = self._http.post("v1alpha2", json=body)
            except httpx.HTTPError:
                self._stopping.wait(0.5)
                continue
            if answer.is_success:
                return True
            if answer.status_code != HTTPStatus.TOO_MANY_REQUESTS and not answer.is_server_error:
                raise LocalModeError(f"A task was answered {answer.status_code}: {answer.text[:300]}")
            self._stopping.wait(0.5)
        return False

    def cancel_one(self, aim: float) -> bool:
        with self._lock:
            # Among the younger half: the older have ended.
            known = self.accepted[len(self.accepted) // 2 :]
        if not known:
            return False
        task_id = known[int(aim * len(known))]
        try:
            answer = self._http.delete(f"v1alpha2/tasks/{task_id}")
        except httpx.HTTPError:
            return False
        # Asked for, even if the answer says that it came too late.
        if answer.is_success:
            with self._lock:
                self.cancelled.add(task_id)
        return answer.is_success

    def send_twice(self, bodies: list[str], aim: float) -> bool:
        """A task's message once more, as an at-least-once queue may."""
        if not bodies:
            return False
        self._clients.sqs.send_message(QueueUrl=self._queue_url, MessageBody=bodies[int(aim * len(bodies))])
        self.duplicates += 1
        return True

    def send_poison(self, aim: float) -> None:
        number = len(self.poisons)
        mark = f"{POISON_IDS}{number}-{int(aim * 1e9)}"
        shapes = _poisons(mark)
        body, readable_id, to_topic = shapes[int(aim * len(shapes))]
        self.poisons.append(Poison(mark, readable_id))
        if to_topic:
            self._clients.sns.publish(TopicArn=self._outputs["sdNotificationLambdaARN"], Message=body)
        else:
            self._clients.sqs.send_message(QueueUrl=self._queue_url, MessageBody=body)

    @property
    def _queue_url(self) -> str:
        return self._outputs[f"{names.camel_case(RUNTIME)}QueueUrl"]


def _poisons(mark: str) -> list[tuple[str, str | None, bool]]:
    """Body, the id that can be read in it, and whether it goes to the request topic."""
    named = {"id": mark, "runtime": RUNTIME, "tasktype": "text-to-image"}
    return [
        (f"this is no JSON: {mark}", None, False),
        (json.dumps([mark]), None, False),
        (json.dumps({"mark": mark}), None, False),
        (json.dumps({"metadata": {"id": f"../../{mark}", "run": "1"}, "content": {}}), None, False),
        (json.dumps({"metadata": named, "content": {}}), mark, False),
        # Whole, but of no task that anybody accepted.
        (json.dumps({"metadata": {**named, "run": "0" * 26}, "content": {}}), mark, False),
        (json.dumps({"metadata": {**named, "run": 7}, "content": None}), mark, False),
        ("[" * 5000 + json.dumps(mark), None, False),
        (f"this is no JSON: {mark}", None, True),
        (json.dumps({"mark": mark}), None, True),
        (json.dumps({"metadata": {**named, "runtime": "nobody"}, "content": {"prompt": ""}}), mark, True),
        (json.dumps({"metadata": {**named, "tasktype": "text-to-nothing"}, "content": {}}), mark, True),
        (json.dumps({"task": {"metadata": named, "content": "a text"}}), mark, True),
    ]


def bucket_of(outputs: dict[str, str], kind: str) -> str:
    """`output` or `inbox`."""
    return outputs["OutputBucket"] if kind == "output" else f"sdfleet-{DEPLOYMENT_ID}-inbox"
