"""The short way to AWS: the SDK's own signature, successes only, and the SDK's way for everything else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from sdfleet.aws import connections
from sdfleet.aws.clients import Clients
from sdfleet.aws.request_signature import Signer, SigningCredentials
from sdfleet.aws.task_queue import SqsTaskQueue
from sdfleet.errors import LeaseLost

NOW = datetime(2026, 11, 21, 1, 2, 3, tzinfo=UTC)
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
TOKEN = "IQoJb3JpZ2luX2VjEXAMPLE"


@pytest.mark.parametrize("token", [None, TOKEN])
@pytest.mark.parametrize(
    ("service", "url", "headers"),
    [
        ("dynamodb", "https://dynamodb.eu-west-1.amazonaws.com/", {"X-Amz-Target": "DynamoDB_20120810.PutItem"}),
        ("sqs", "https://sqs.eu-west-1.amazonaws.com/", {"X-Amz-Target": "AmazonSQS.ReceiveMessage"}),
        ("sns", "http://127.0.0.1:5000/", {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}),
        ("s3", "https://pictures.s3.eu-west-1.amazonaws.com/out/a%20b/%C3%A4.png", {"Content-Type": "image/png"}),
        ("s3", "http://127.0.0.1:5000/pictures/out/a%2Bb.png", {"Content-Type": "image/png"}),
    ],
)
def test_a_signature_is_the_one_that_the_sdk_makes(
    monkeypatch: pytest.MonkeyPatch, service: str, url: str, headers: dict[str, str], token: str | None
) -> None:
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda remove_tzinfo=True: NOW.replace(tzinfo=None))
    headers = {**headers, "User-Agent": "sdfleet"}
    theirs = AWSRequest(method="PUT", url=url, headers=headers, data=b"the  body")
    if url.startswith("https://"):
        theirs.context["client_config"] = Config(s3={"payload_signing_enabled": False})
    auth = S3SigV4Auth if service == "s3" else SigV4Auth
    auth(Credentials("AKIDEXAMPLE", SECRET, token), service, "eu-west-1").add_auth(theirs)
    ours = Signer(service, "eu-west-1").signed(
        "PUT",
        urlsplit(url),
        headers,
        b"the  body",
        credentials=SigningCredentials("AKIDEXAMPLE", SECRET, token),
        now=NOW,
    )
    assert ours["authorization"] == theirs.headers["Authorization"]


def test_a_signer_makes_a_new_key_for_a_new_day_and_new_credentials() -> None:
    signer = Signer("sqs", "eu-west-1")
    url = urlsplit("https://sqs.eu-west-1.amazonaws.com/")

    def signature(secret: str, now: datetime) -> str:
        credentials = SigningCredentials("AKIDEXAMPLE", secret)
        return signer.signed("POST", url, {}, b"", credentials=credentials, now=now)["authorization"]

    first = signature(SECRET, NOW)
    others = {signature("another", NOW), signature(SECRET, NOW.replace(day=22))}
    assert first not in others
    assert len(others) == 2
    assert signature(SECRET, NOW) == first


class Service:
    """Answers in the order given, then with an empty success; `DROP` closes the connection without a word."""

    DROP = 0

    def __init__(self, *answers: tuple[int, bytes]) -> None:
        self.answers = list(answers)
        self.user_agents: list[str] = []
        self.connections = 0


@contextmanager
def serving(service: Service) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            service.connections += 1
            super().setup()

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            service.user_agents.append("retry" if "amz-sdk-request" in self.headers else "direct")
            status, body = service.answers.pop(0) if service.answers else (200, b"{}")
            if status == Service.DROP:
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")


def test_calls_share_a_connection() -> None:
    service = Service()
    with serving(service) as url:
        sqs = Clients(region="us-east-1", endpoint_url=url).sqs
        for _ in range(3):
            sqs.delete_message(QueueUrl=f"{url}/0/queue", ReceiptHandle="r")
    assert service.connections == 1
    assert service.user_agents == ["direct"] * 3


def test_what_the_service_cannot_do_now_is_repeated_by_the_sdk() -> None:
    service = Service((503, b"{}"))
    with serving(service) as url:
        client = Clients(region="us-east-1", endpoint_url=url).sqs
        client.delete_message(QueueUrl=f"{url}/0/queue", ReceiptHandle="r")
        client.close()
    assert service.user_agents == ["direct", "retry"]


def test_a_connection_that_is_lost_is_no_error() -> None:
    service = Service((Service.DROP, b""))
    with serving(service) as url:
        client = Clients(region="us-east-1", endpoint_url=url).sqs
        client.delete_message(QueueUrl=f"{url}/0/queue", ReceiptHandle="r")
        client.close()
    assert service.user_agents == ["direct", "retry"]


def test_a_refusal_is_the_sdks_error() -> None:
    refusal = b'{"__type": "com.amazonaws.sqs#ReceiptHandleIsInvalid", "message": "no"}'
    with serving(Service((400, refusal), (400, refusal), (400, refusal), (400, refusal))) as url:
        client = Clients(region="us-east-1", endpoint_url=url).sqs
        with pytest.raises(ClientError):
            client.delete_message(QueueUrl=f"{url}/0/queue", ReceiptHandle="r")
        with pytest.raises(LeaseLost):
            SqsTaskQueue(client, f"{url}/0/queue").extend("r", timedelta(seconds=1))
        client.close()


def test_a_call_that_is_not_answered_is_not_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    clients = Clients(region="us-east-1", endpoint_url="http://127.0.0.1:9")
    calls = []

    def request(*_: Any) -> Any:
        calls.append(1)
        raise TimeoutError

    monkeypatch.setattr(connections.Connections, "request", request)
    with pytest.raises(Exception, match="Read timeout"):
        clients.sqs.delete_message(QueueUrl="http://127.0.0.1:9/0/queue", ReceiptHandle="r")
    assert len(calls) == 1


def test_behind_a_proxy_the_sdk_makes_every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setattr(connections.Connections, "request", lambda *_: pytest.fail("went past the proxy"))
    client = Clients(region="us-east-1").sqs
    with pytest.raises(Exception, match="proxy"):
        client.delete_message(QueueUrl="https://sqs.us-east-1.amazonaws.com/0/queue", ReceiptHandle="r")
    client.close()
