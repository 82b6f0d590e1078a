"""An instance whose server never comes back, in a whole deployment: its group replaces it."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from running_service import eventually
from sdfleet.domain.task import RuntimeType
from sdfleet_local.deployment import LocalDeployment
from sdfleet_local.loopback import free_port
from sdfleet_local.plan import LocalPlan, PlannedRuntime

#: The supervisor outlives who started it; `LocalDeployment.stop` finds it by its state file.
pytestmark = [
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Exception ignored in. <function Popen:pytest.PytestUnraisableExceptionWarning"),
]

#: Four restarts of half a second, a report and a replacement, on two cores that do something else.
PATIENCE_S = 90.0


class CustomServer:
    """A server of the custom contract that is well or is not."""

    def __init__(self) -> None:
        self.is_well = True
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200 if outer.is_well else 503)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
                """Nobody reads it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def custom_server() -> Iterator[CustomServer]:
    server = CustomServer()
    yield server
    server.close()


@pytest.fixture
def deployment(custom_server: CustomServer) -> Iterator[LocalDeployment]:
    root = Path(tempfile.mkdtemp(prefix="sdfleet-test-"))
    runtime = PlannedRuntime(
        "sdruntime", RuntimeType.CUSTOM, url=custom_server.url, restart_command="true", restart_after_s=0.5
    )
    plan = LocalPlan(
        runtimes=(runtime,),
        instances=1,
        port=free_port(),
        rate=10.0,
        burst=30,
        waiting_cap=1,
        link_lifetime_s=3600,
        max_input_bytes=1024,
        start_patience_s=PATIENCE_S * 2,
    )
    running = LocalDeployment(root)
    try:
        running.start(plan, lambda _: None)
        yield running
    finally:
        running.stop()
        shutil.rmtree(root, ignore_errors=True)


def test_it_reports_itself_unhealthy_and_its_group_starts_another(
    custom_server: CustomServer, deployment: LocalDeployment
) -> None:
    def instances() -> dict[str, str]:
        return {one["instance_id"]: one["state"] for one in deployment.control().instances()}

    def events() -> str:
        return "".join(file.read_text() for file in deployment.directory.logs.glob("*.log"))

    (broken,) = instances()
    custom_server.is_well = False
    eventually(lambda: "instance.reported_unhealthy" in events(), within_s=PATIENCE_S)
    custom_server.is_well = True
    eventually(lambda: broken not in instances(), within_s=PATIENCE_S)
    eventually(lambda: "InService" in instances().values(), within_s=PATIENCE_S)
    assert '"lifecycle_action.timed_out"' not in events()
    assert '"lifecycle_action.completed"' in events()
