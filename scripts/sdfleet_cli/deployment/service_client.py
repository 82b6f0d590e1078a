"""A deployed service as its callers see it: outputs in, pictures out. A local deployment is one too."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx

from sdfleet.aws.clients import Clients
from sdfleet.aws.operator_errors import explained
from sdfleet.domain.task import RuntimeType
from sdfleet.errors import DeploymentError

_POLL_S = 2.0
_TIMEOUT_S = 40.0
_KEY_ID = re.compile(r"(?:--api-key[ =]|id==`)([A-Za-z0-9]+)")


@dataclass(frozen=True)
class Outcome:
    """How a task has ended."""

    status: str
    links: tuple[str, ...]
    locations: tuple[str, ...]
    #: `code: message` of a failed one.
    error: str | None
    queue_s: float | None
    run_s: float | None

    @property
    def is_success(self) -> bool:
        return self.status == "succeeded"


@dataclass(frozen=True)
class ServedRuntime:
    name: str
    type: RuntimeType


@dataclass
class ServiceClient:
    endpoint: str
    api_key: str = field(repr=False)
    pause: Callable[[float], None] = time.sleep

    def is_healthy(self) -> bool:
        try:
            return self._request("GET", "health").is_success
        except DeploymentError:
            return False

    def runtimes(self) -> list[ServedRuntime]:
        """Raises:
        DeploymentError: the service does not answer.
        """
        answer = self._request("GET", "v1alpha2/runtimes")
        if not answer.is_success:
            raise DeploymentError(f"The service answers {answer.status_code}: {_detail(answer)}")
        return [ServedRuntime(one["name"], RuntimeType(one["type"])) for one in answer.json()["runtimes"]]

    def submit(self, task: Mapping[str, Any]) -> str:
        """Hand a v1alpha2 task in; its id.

        Raises:
            DeploymentError: the service refuses it or cannot be reached.
        """
        answer = self._request("POST", "v1alpha2", json={"task": task})
        if not answer.is_success:
            raise DeploymentError(f"The service answers {answer.status_code}: {_detail(answer)}")
        return str(answer.json()["id_task"])

    def outcome(
        self, task_id: str, *, patience: timedelta, on_wait: Callable[[str, float], None] = lambda *_: None
    ) -> Outcome:
        """The task's end; `on_wait` hears its status and the seconds waited so far.

        Raises:
            DeploymentError: it has not ended within `patience`.
        """
        began = time.monotonic()
        status = "unknown"
        while (waited := time.monotonic() - began) < patience.total_seconds():
            answer = self._request("GET", f"v1alpha2/tasks/{task_id}")
            if answer.is_success:
                body = answer.json()
                status = body["status"]
                if status in ("succeeded", "failed", "cancelled"):
                    return _outcome(body)
            on_wait(status, waited)
            self.pause(_POLL_S)
        raise DeploymentError(never_ended(task_id, status, patience))

    def _request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """Sent again as often as the service asks for it."""
        for attempt in range(10):
            try:
                answer = httpx.request(
                    method,
                    f"{self.endpoint.rstrip('/')}/{path}",
                    headers={"x-api-key": self.api_key},
                    timeout=_TIMEOUT_S,
                    trust_env=not _is_loopback(self.endpoint),
                    **arguments,
                )
            except httpx.TransportError as error:
                # A new endpoint's name takes a moment to be known everywhere.
                if attempt == 9:
                    raise DeploymentError(f"{self.endpoint} cannot be reached ({type(error).__name__}).") from error
                self.pause(_POLL_S)
                continue
            # So does a new key.
            if answer.status_code in (401, 403, 429, 502, 503, 504) and attempt < 9:
                self.pause(min(float(answer.headers.get("Retry-After", _POLL_S)), 30.0))
                continue
            return answer
        raise DeploymentError(f"{self.endpoint} does not answer.")


def never_ended(task_id: str, status: str, patience: timedelta) -> str:
    return (
        f"Task {task_id} is {status} after {patience.total_seconds() / 60:.0f} minutes; no instance has made it. The "
        "group's activity in the EC2 console and the fleet's log group in CloudWatch say why."
    )


def api_key_of(outputs: Mapping[str, str], clients: Clients) -> str:
    """Raises:
    DeploymentError: the outputs name no key, or it may not be read.
    """
    command = outputs.get("GetAPIKeyCommand", "")
    match = _KEY_ID.search(command)
    if match is None:
        raise DeploymentError("The stack's output GetAPIKeyCommand names no key; deploy it anew.")
    with explained():
        return clients.apigateway.get_api_key(apiKey=match[1], includeValue=True)["value"]


def _outcome(body: Mapping[str, Any]) -> Outcome:
    error = body.get("error")
    return Outcome(
        status=body["status"],
        links=tuple(body.get("image_link") or ()),
        locations=tuple(body.get("image_url") or ()),
        error=f"{error.get('code')}: {error.get('message')}" if error else None,
        queue_s=body.get("queue_s"),
        run_s=body.get("run_s"),
    )


def _detail(answer: httpx.Response) -> str:
    try:
        body = answer.json()
        errors = "; ".join(f"{one.get('path')}: {one.get('message')}" for one in body.get("errors", ()))
        said = body.get("detail") or body.get("title") or body.get("message") or answer.text
        return f"{said} {errors}".strip()
    except (ValueError, AttributeError):
        return answer.text[:200]


def _is_loopback(endpoint: str) -> bool:
    return httpx.URL(endpoint).host in ("127.0.0.1", "localhost", "::1")
