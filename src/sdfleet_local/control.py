"""The supervisor's control port: what the command line asks of a running deployment. Loopback, with a token."""

from __future__ import annotations

import hmac
import json
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

from sdfleet.errors import LocalModeError
from sdfleet_local.instance import InstanceDescription
from sdfleet_local.state_file import ControlAccess

#: The supervisor may be probing a busy instance for a second, with the group held.
_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class ControlTarget:
    """What the control port can do."""

    describe: Callable[[], list[InstanceDescription]]
    #: When the instance will be taken away. Each of these raises LocalModeError for an unknown instance.
    interrupt: Callable[[str], datetime]
    recommend_rebalance: Callable[[str], None]
    terminate: Callable[[str], None]
    drain: Callable[[str], None]


class ControlServer:
    def __init__(self, target: ControlTarget) -> None:
        token = secrets.token_urlsafe(32)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_for(target, token))
        self._server.daemon_threads = True
        self.access = ControlAccess(url=f"http://127.0.0.1:{self._server.server_address[1]}", token=token)

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, name="control", daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class ControlClient:
    """The command line's side."""

    def __init__(self, access: ControlAccess) -> None:
        self._access = access

    def instances(self) -> list[dict[str, Any]]:
        instances: list[dict[str, Any]] = self._call("GET", "/instances")
        return instances

    def interrupt(self, instance_id: str) -> str:
        """When the instance will be taken away, ISO 8601.

        Raises:
            LocalModeError: there is no such instance.
        """
        answer: dict[str, str] = self._call("POST", f"/instances/{instance_id}/interrupt")
        return answer["ends_at"]

    def recommend_rebalance(self, instance_id: str) -> None:
        """Raises:
        LocalModeError: there is no such instance.
        """
        self._call("POST", f"/instances/{instance_id}/rebalance")

    def terminate(self, instance_id: str) -> None:
        """Raises:
        LocalModeError: there is no such instance.
        """
        self._call("POST", f"/instances/{instance_id}/terminate")

    def drain(self, instance_id: str) -> None:
        """Raises:
        LocalModeError: there is no such instance, or its scheduler does not answer.
        """
        self._call("POST", f"/instances/{instance_id}/drain")

    def _call(self, method: str, path: str) -> Any:
        try:
            answer = httpx.request(
                method,
                self._access.url + path,
                headers={"Authorization": f"Bearer {self._access.token}"},
                timeout=_TIMEOUT_S,
                trust_env=False,
            )
        except httpx.HTTPError as error:
            raise LocalModeError(
                "Local mode does not answer; run ./destroy.sh --local, then ./deploy.sh --local."
            ) from error
        if answer.is_error:
            raise LocalModeError(answer.json().get("error", f"The supervisor answered {answer.status_code}."))
        return answer.json()


def _handler_for(target: ControlTarget, token: str) -> type[BaseHTTPRequestHandler]:
    expected = f"Bearer {token}".encode()

    class Handler(BaseHTTPRequestHandler):
        timeout = 30

        def do_GET(self) -> None:
            self._serve({("instances",): self._instances})

        def do_POST(self) -> None:
            self._serve(
                {
                    ("instances", "interrupt"): self._interrupt,
                    ("instances", "rebalance"): lambda: self._tell(target.recommend_rebalance),
                    ("instances", "terminate"): lambda: self._tell(target.terminate),
                    ("instances", "drain"): lambda: self._tell(target.drain),
                }
            )

        def _serve(self, routes: Mapping[tuple[str, ...], Callable[[], Any]]) -> None:
            if not hmac.compare_digest(self.headers.get("Authorization", "").encode(), expected):
                self._answer(HTTPStatus.UNAUTHORIZED, {"error": "The token is in .sdfleet/local/state.json."})
                return
            parts = self.path.strip("/").split("/")
            route = routes.get(tuple(parts[::2]) if len(parts) > 1 else (parts[0],))
            if route is None:
                self._answer(HTTPStatus.NOT_FOUND, {"error": "There is nothing here."})
                return
            try:
                self._answer(HTTPStatus.OK, route())
            except LocalModeError as error:
                self._answer(HTTPStatus.NOT_FOUND, {"error": str(error)})

        def _instances(self) -> list[dict[str, Any]]:
            return [asdict(instance) for instance in target.describe()]

        def _interrupt(self) -> dict[str, str]:
            return {"ends_at": target.interrupt(self._instance_id()).isoformat(timespec="seconds")}

        def _tell(self, action: Callable[[str], None]) -> dict[str, str]:
            action(self._instance_id())
            return {}

        def _instance_id(self) -> str:
            return self.path.strip("/").split("/")[1]

        def _answer(self, status: HTTPStatus, value: Any) -> None:
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
            """The group logs what changes."""

    return Handler
