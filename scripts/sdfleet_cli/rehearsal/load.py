"""A steady load: so many tasks a second, each with a name that is known again."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import httpx

from sdfleet.domain.task import JsonObject, Task
from sdfleet_local.chaos.traffic import RUNTIME

#: What a task takes on the test pattern.
TASK_S = 0.2
#: A client's patience with a service that answers 5xx or 429.
_SUBMIT_WITHIN_S = 60.0
_PAUSE_S = 0.5
_SENDERS = 4
_PNG = b"\x89PNG\r\n\x1a\n"
_LAST_CHUNK = b"IEND"


class PatternWorkload:
    """Test patterns, as `sdfleet_local.chaos.accounting` knows them again."""

    tasktype = "text-to-image"

    def content(self, number: int, task_id: str, *, padding: int) -> JsonObject:
        return {"prompt": task_id + " " * padding, "width": 64, "height": 64, "test_pattern_seconds": TASK_S}

    def flaw(self, number: int) -> str | None:
        return None

    def is_picture(self, task_id: str, data: bytes) -> bool:
        return data.startswith(_PNG) and data[-8:-4] == _LAST_CHUNK

    def is_output(self, task: Task, fields: Any) -> bool:
        """The WebUI's answer, with the prompt that it was given."""
        return isinstance(fields, dict) and fields.get("parameters", {}).get("prompt") == task.id


class SteadyLoad:
    """From its entry to its exit; by then every task that was due has been accepted or refused for good."""

    def __init__(self, outputs: Mapping[str, str], *, per_second: float, prefix: str) -> None:
        self._http = httpx.Client(
            base_url=outputs["FrontApiEndpoint"],
            headers={"x-api-key": outputs["ApiKey"]},
            timeout=60.0,
            trust_env=False,
            limits=httpx.Limits(max_connections=_SENDERS),
        )
        self._interval_s = 1 / per_second
        self._prefix = prefix
        self._workload = PatternWorkload()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._send_all, name="load", daemon=True)
        self._lock = threading.Lock()
        self.accepted: list[str] = []
        #: With what they were answered.
        self.refused: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        self._http.close()

    def _send_all(self) -> None:
        began, number = time.monotonic(), 0
        with ThreadPoolExecutor(_SENDERS) as pool:
            while not self._stopping.wait(max(0.0, began + number * self._interval_s - time.monotonic())):
                pool.submit(self._send, number)
                number += 1

    def _send(self, number: int) -> None:
        task_id = f"{self._prefix}-{number:05d}"
        metadata = {"id": task_id, "runtime": RUNTIME, "tasktype": self._workload.tasktype}
        body = {"task": {"metadata": metadata, "content": self._workload.content(number, task_id, padding=0)}}
        end, answered = time.monotonic() + _SUBMIT_WITHIN_S, "nothing"
        while time.monotonic() < end:
            try:
                answer = self._http.post("v1alpha2", json=body)
            except httpx.HTTPError as error:
                answered = type(error).__name__
            else:
                if answer.is_success:
                    with self._lock:
                        self.accepted.append(task_id)
                    return
                answered = str(answer.status_code)
                if answer.is_client_error and answer.status_code != httpx.codes.TOO_MANY_REQUESTS:
                    break
            # The same id with the same content is the same task.
            time.sleep(_PAUSE_S)
        with self._lock:
            self.refused.append(f"{task_id}: {answered}")
