"""An account for tests: moto for what it implements, a server for what it lacks, and tools on the PATH that record."""

from __future__ import annotations

import json
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import httpx
from moto.server import ThreadedMotoServer

REGION = "us-east-1"
ACCOUNT = "123456789012"
#: API Gateway takes no shorter ones.
API_KEY = "the-key-of-twenty-letters"
#: Stands for the base model's four gigabytes: two parts and a bit, as small as parts may be made.
MODEL = bytes(range(256)) * 100

#: Without site-packages: it starts in a tenth of the time.
_TOOL = """#!{python} -SE
import json, os, pathlib, sys
sys.path.insert(0, {tests!r})
from account_tools import main
sys.exit(main({name!r}, sys.argv[1:], pathlib.Path({directory!r})))
"""


@dataclass
class FakeAccount:
    directory: Path
    endpoint_url: str
    stub_url: str
    #: vCPUs by quota code; a code that is not there cannot be read.
    quotas: dict[str, float] = field(default_factory=dict)
    concurrency: int = 1000
    #: Bytes after which the model's download breaks off, once each.
    breaks: list[int] = field(default_factory=list)
    #: Tasks by id as the service would have them.
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: Statuses that the service's tasks end with.
    task_status: str = "succeeded"
    model: bytes = MODEL
    ranges: list[str] = field(default_factory=list)
    key_id: str = ""

    def client(self, service: str) -> Any:
        return boto3.client(
            service,  # type: ignore[call-overload]
            region_name=REGION,
            endpoint_url=self.endpoint_url,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": self.endpoint_url,
            # What moto lacks.
            "AWS_ENDPOINT_URL_SERVICE_QUOTAS": f"{self.stub_url}/quotas",
            "AWS_ENDPOINT_URL_LAMBDA": f"{self.stub_url}/lambda",
            "FAKE_SERVICE_URL": self.stub_url,
            "FAKE_KEY_ID": self.key_id,
            "NO_PROXY": "127.0.0.1",
        }

    def calls(self, tool: str) -> list[list[str]]:
        """How the tool was called, in order."""
        file = self.directory / f"{tool}.calls"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def fail_once(self, tool: str, word: str) -> None:
        """The next call of the tool that has this word ends with an error, before it has done anything."""
        (self.directory / f"fail-{tool}-{word}").touch()

    def install_tools(self, *names: str) -> Path:
        tools = self.directory / "tools"
        tools.mkdir(exist_ok=True)
        tests = str(Path(__file__).parent)
        for name in names:
            file = tools / name
            file.write_text(_TOOL.format(python=sys.executable, tests=tests, name=name, directory=str(self.directory)))
            file.chmod(file.stat().st_mode | stat.S_IXUSR)
        return tools


@contextmanager
def running_account(directory: Path) -> Iterator[FakeAccount]:
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    account = FakeAccount(directory, f"http://{host}:{port}", "")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_for(account))
    server.daemon_threads = True
    account.stub_url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        httpx.post(f"{account.endpoint_url}/moto-api/reset", trust_env=False, timeout=60.0)
        key = account.client("apigateway").create_api_key(name="front", value=API_KEY, enabled=True)
        account.key_id = key["id"]
        yield account
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        moto.stop()


def _handler_for(account: FakeAccount) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/model":
                self._send_model()
            elif self.path.endswith("/health"):
                self._send(200, {"status": "ok"})
            elif "/tasks/" in self.path:
                self._send(200, account.tasks[self.path.rsplit("/", 1)[-1]])
            elif self.path.endswith("/v1alpha2/runtimes"):
                self._send(200, {"runtimes": [{"name": "sdruntime", "type": "sdwebui"}]})
            elif "account-settings" in self.path:
                self._send(200, {"AccountLimit": {"ConcurrentExecutions": account.concurrency}})
            else:
                self._send(404, {"detail": self.path})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path.startswith("/quotas"):
                value = account.quotas.get(body["QuotaCode"])
                if value is None:
                    self._send(400, {"__type": "NoSuchResourceException", "Message": "no such quota"})
                else:
                    self._send(200, {"Quota": {"Value": value}})
                return
            if self.headers.get("x-api-key") != API_KEY:
                self._send(401, {"detail": "no key"})
                return
            task_id = body["task"]["metadata"]["id"]
            is_success = account.task_status == "succeeded"
            account.tasks[task_id] = {
                "id": task_id,
                "status": account.task_status,
                "image_link": ["https://cdn.example/picture.png?Signature=secret"] if is_success else [],
                "image_url": ["s3://bucket/verify/picture.png"] if is_success else [],
                "error": None if is_success else {"code": "model_not_found", "message": "there is no such model"},
            }
            self._send(200, {"id_task": task_id, "id": task_id})

        def _send_model(self) -> None:
            asked = self.headers.get("Range", "")
            account.ranges.append(asked)
            start = int(asked.removeprefix("bytes=").rstrip("-") or 0) if asked else 0
            self.send_response(206 if asked else 200)
            self.send_header("Content-Length", str(len(account.model) - start))
            self.end_headers()
            end = account.breaks.pop(0) if account.breaks else len(account.model)
            self.wfile.write(account.model[start:end])
            self.close_connection = True

        def _send(self, status: int, body: dict[str, Any]) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: Any) -> None:
            pass

    return Handler
