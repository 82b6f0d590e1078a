"""The instance metadata service, version 2, one listener for each instance (EC2 User Guide, "Use IMDSv2")."""

from __future__ import annotations

import json
import secrets
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_TOKEN_PATH = "/latest/api/token"  # noqa: S105  a path
_METADATA_PATH = "/latest/meta-data/"
_DOCUMENT_PATH = "/latest/dynamic/instance-identity/document"
_TTL_HEADER = "X-aws-ec2-metadata-token-ttl-seconds"
_TOKEN_HEADER = "X-aws-ec2-metadata-token"  # noqa: S105  a header
_MAX_TTL_S = 21_600


@dataclass
class InstanceMetadata:
    """What one instance may ask about itself. The group writes it, the listener's threads read it."""

    instance_id: str
    release: str
    availability_zone: str
    region: str
    #: `spot` or `on-demand`.
    life_cycle: str = "spot"
    #: Auto Scaling's `InService`, then `Terminated`: from its decision on, while the termination hook waits.
    target_state: str = "InService"
    #: When EC2 takes the instance away; None while nobody announced it.
    interruption_at: datetime | None = None
    rebalance_noticed_at: datetime | None = None
    launched_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def identity_document(self) -> str:
        """EC2 User Guide, "Retrieve the instance identity document", as far as it means something here."""
        # EC2's has whole seconds; a local boot is over in one.
        pending = self.launched_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return json.dumps({"instanceId": self.instance_id, "region": self.region, "pendingTime": pending})

    def value_at(self, path: str) -> str | None:
        """The value at `/latest/meta-data/{path}`; None where EC2 answers 404."""
        fixed = {
            "instance-id": self.instance_id,
            "instance-life-cycle": self.life_cycle,
            "instance-type": "local",
            "placement/availability-zone": self.availability_zone,
            "placement/region": self.region,
            "tags/instance": "Name\nsdfleet-release",
            "tags/instance/Name": self.instance_id,
            "tags/instance/sdfleet-release": self.release,
            "autoscaling/target-lifecycle-state": self.target_state,
        }
        if path in fixed:
            return fixed[path]
        if path == "spot/instance-action" and self.interruption_at is not None:
            return json.dumps({"action": "terminate", "time": _zulu(self.interruption_at)})
        if path == "spot/termination-time" and self.interruption_at is not None:
            return _zulu(self.interruption_at)
        if path == "events/recommendations/rebalance" and self.rebalance_noticed_at is not None:
            return json.dumps({"noticeTime": _zulu(self.rebalance_noticed_at)})
        return None


@dataclass
class MetadataListener:
    """Serves one instance's metadata until it is closed; on a free loopback port, unless another address is given."""

    metadata: InstanceMetadata
    #: EC2's own is 169.254.169.254, port 80.
    address: tuple[str, int] = ("127.0.0.1", 0)
    _server: ThreadingHTTPServer = field(init=False, repr=False)
    _tokens: set[str] = field(default_factory=set, repr=False)

    def __post_init__(self) -> None:
        self._server = ThreadingHTTPServer(self.address, _handler_for(self.metadata, self._tokens))
        self._server.daemon_threads = True
        name = f"imds-{self.metadata.instance_id}"
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, name=name, daemon=True
        ).start()

    @property
    def url(self) -> str:
        return f"http://{self.address[0]}:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler_for(metadata: InstanceMetadata, tokens: set[str]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        #: An instance that died leaves no thread behind.
        timeout = 60
        # Head and body are two writes; with Nagle's algorithm each answer would wait for an acknowledgement.
        disable_nagle_algorithm = True

        def do_PUT(self) -> None:
            ttl = self.headers.get(_TTL_HEADER, "")
            if self.path != _TOKEN_PATH:
                self._answer(HTTPStatus.NOT_FOUND)
            elif not ttl.isdigit() or not 1 <= int(ttl) <= _MAX_TTL_S:
                self._answer(HTTPStatus.BAD_REQUEST)
            else:
                token = secrets.token_urlsafe(32)
                tokens.add(token)
                self._answer(HTTPStatus.OK, token, **{_TTL_HEADER: ttl})

        def do_GET(self) -> None:
            if self.headers.get(_TOKEN_HEADER) not in tokens:
                self._answer(HTTPStatus.UNAUTHORIZED)
                return
            value = None
            if self.path == _DOCUMENT_PATH:
                value = metadata.identity_document
            elif self.path.startswith(_METADATA_PATH):
                value = metadata.value_at(self.path.removeprefix(_METADATA_PATH).rstrip("/"))
            if value is None:
                self._answer(HTTPStatus.NOT_FOUND)
            else:
                self._answer(HTTPStatus.OK, value)

        def _answer(self, status: HTTPStatus, text: str = "", **headers: str) -> None:
            body = text.encode()
            self.send_response(status)
            for name, value in {"Content-Type": "text/plain", "Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
            """Every instance asks every two seconds."""

    return Handler


def _zulu(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
