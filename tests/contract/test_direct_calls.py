"""The short way to AWS: the SDK's own requests, successes only, and the SDK's way for everything else."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from sdfleet.aws import connections
from sdfleet.aws.artifact_store import S3ArtifactStore
from sdfleet.aws.clients import Clients
from sdfleet.aws.request_signature import Signer
from sdfleet.aws.task_queue import SqsTaskQueue
from sdfleet.aws.topic import SnsTopic
from sdfleet.errors import LeaseLost, ServiceUnavailable

NOW = datetime(2026, 11, 21, 1, 2, 3, tzinfo=UTC)
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
TOKEN = "IQoJb3JpZ2luX2VjEXAMPLE"
EMPTY = (200, b"{}")
PUBLISHED = (200, b"<PublishResponse><PublishResult><MessageId>m-1</MessageId></PublishResult></PublishResponse>")


@pytest.mark.parametrize("token", [None, TOKEN])
@pytest.mark.parametrize(
    ("service", "url", "headers"),
    [
        ("dynamodb", "https://dynamodb.eu-west-1.amazonaws.com/", {"x-amz-target": "DynamoDB_20120810.PutItem"}),
        ("sqs", "https://sqs.eu-west-1.amazonaws.com/", {"x-amz-target": "AmazonSQS.ReceiveMessage"}),
        ("sns", "http://127.0.0.1:5000/", {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}),
        ("s3", "https://pictures.s3.eu-west-1.amazonaws.com/out/a%20b/%C3%A4.png", {"content-type": "image/png"}),
        ("s3", "http://127.0.0.1:5000/pictures/out/a%2Bb.png", {"content-type": "image/png"}),
    ],
)
def test_a_signature_is_the_one_that_the_sdk_makes(
    monkeypatch: pytest.MonkeyPatch, service: str, url: str, headers: dict[str, str], token: str | None
) -> None:
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda remove_tzinfo=True: NOW.replace(tzinfo=None))
    credentials = Credentials("AKIDEXAMPLE", SECRET, token)
    theirs = AWSRequest(method="PUT", url=url, headers=headers, data=b"the  body")
    auth = S3SigV4Auth if service == "s3" else SigV4Auth
    auth(credentials, service, "eu-west-1").add_auth(theirs)
    signer = Signer(service, "eu-west-1")
    frozen = credentials.get_frozen_credentials()
    ours = signer.signed("PUT", urlsplit(url), headers, b"the  body", credentials=frozen, now=NOW)
    assert ours["authorization"] == theirs.headers["Authorization"]


@pytest.mark.parametrize("token", [None, TOKEN + "/+="])
@pytest.mark.parametrize(
    "url",
    [
        "https://pictures.s3.eu-west-1.amazonaws.com/out/a%20b/%C3%A4.png",
        "http://127.0.0.1:5000/pictures/out/a%2Bb.png",
    ],
)
def test_a_link_is_the_one_that_the_sdk_makes(monkeypatch: pytest.MonkeyPatch, url: str, token: str | None) -> None:
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda remove_tzinfo=True: NOW.replace(tzinfo=None))
    credentials = Credentials("AKIDEXAMPLE", SECRET, token)
    theirs = AWSRequest(method="GET", url=url)
    S3SigV4QueryAuth(credentials, "s3", "eu-west-1", expires=3600).add_auth(theirs)
    ours = Signer("s3", "eu-west-1").link(
        urlsplit(url), credentials=credentials.get_frozen_credentials(), lifetime_s=3600, now=NOW
    )
    # The signature is among them.
    assert dict(parse_qsl(urlsplit(ours).query)) == dict(parse_qsl(urlsplit(str(theirs.url)).query))
    assert ours.partition("?")[0] == url


def test_a_clients_link_names_the_object_as_the_sdks_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    store = S3ArtifactStore(Clients(region="eu-west-1").s3)
    key = "out/a b/\u00e4~(1)+.png"
    ours = urlsplit(store.link(f"s3://pictures/{key}", lifetime=timedelta(hours=1)))
    upload = urlsplit(
        store.upload_link(f"s3://pictures/{key}", content_type="image/png", size_bytes=3, lifetime=timedelta(hours=1))
    )
    assert (ours.scheme, ours.netloc, ours.path) == (upload.scheme, upload.netloc, upload.path)
    assert dict(parse_qsl(ours.query))["X-Amz-Expires"] == "3600"
    assert dict(parse_qsl(upload.query))["X-Amz-SignedHeaders"] == "content-length;content-type;host"


def test_a_signer_makes_a_new_key_for_a_new_day_and_new_credentials() -> None:
    signer = Signer("sqs", "eu-west-1")
    url = urlsplit("https://sqs.eu-west-1.amazonaws.com/")

    def signature(secret: str, now: datetime) -> str:
        credentials = Credentials("AKIDEXAMPLE", secret).get_frozen_credentials()
        return signer.signed("POST", url, {}, b"", credentials=credentials, now=now)["authorization"]

    first = signature(SECRET, NOW)
    others = {signature("another", NOW), signature(SECRET, NOW.replace(day=22))}
    assert first not in others
    assert len(others) == 2
    assert signature(SECRET, NOW) == first


@dataclass(frozen=True)
class Sent:
    """A request as the service sees it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def is_the_sdks(self) -> bool:
        return "amz-sdk-request" in self.headers

    @property
    def meaning(self) -> tuple[Any, ...]:
        """What the service acts upon: not who asks, when, and whether an answer may be compressed."""
        names = ("content-type", "x-amz-target", "x-amz-content-sha256", "x-amz-security-token", "x-amzn-trace-id")
        is_form = "form-urlencoded" in self.headers.get("content-type", "")
        body: Any = sorted(parse_qsl(self.body.decode())) if is_form else self.body
        return self.method, self.path, {name: self.headers.get(name) for name in names}, body


class Service:
    """Answers in the order given, then with an empty success; `DROP` closes the connection without a word."""

    DROP = 0
    #: A success of no stated length.
    CHUNKED = 1

    def __init__(self, *answers: tuple[int, bytes]) -> None:
        self.answers = list(answers)
        self.sent: list[Sent] = []
        self.connections = 0

    @property
    def callers(self) -> list[str]:
        return ["sdk" if sent.is_the_sdks else "direct" for sent in self.sent]


@contextmanager
def serving(service: Service) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            service.connections += 1
            super().setup()

        def handle_call(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            service.sent.append(Sent(self.command, self.path, headers, body))
            status, content = service.answers.pop(0) if service.answers else EMPTY
            if status == Service.DROP:
                self.close_connection = True
                return
            self.send_response(200 if status == Service.CHUNKED else status)
            if status == Service.CHUNKED:
                self.send_header("transfer-encoding", "chunked")
                content = b"%x\r\n%s\r\n0\r\n\r\n" % (len(content), content)
            else:
                self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_PUT = handle_call  # noqa: N815  the base class's names

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


QUEUE = "https://sqs.us-east-1.amazonaws.com/0/queue"


@pytest.mark.parametrize("token", [None, TOKEN])
@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("dynamodb", lambda dynamodb: dynamodb.get_item(TableName="t", Key={"pk": {"S": "a"}}, ConsistentRead=True)),
        (
            "dynamodb",
            lambda dynamodb: dynamodb.put_item(
                TableName="t",
                Item={"pk": {"S": "ä☃"}, "on": {"BOOL": True}, "n": {"N": "1.5"}, "b": {"B": b"\x00\xff"}},
                ConditionExpression="#run = :run",
                ExpressionAttributeNames={"#run": "run"},
                ExpressionAttributeValues={":run": {"S": "r"}},
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            ),
        ),
        (
            "sqs",
            lambda sqs: sqs.receive_message(
                QueueUrl=QUEUE,
                MaxNumberOfMessages=1,
                WaitTimeSeconds=5,
                VisibilityTimeout=20,
                MessageSystemAttributeNames=["ApproximateReceiveCount", "MessageGroupId"],
            ),
        ),
        ("sqs", lambda sqs: sqs.change_message_visibility(QueueUrl=QUEUE, ReceiptHandle="r", VisibilityTimeout=0)),
        ("sqs", lambda sqs: sqs.delete_message(QueueUrl=QUEUE, ReceiptHandle="r+/=")),
        (
            "sns",
            lambda sns: sns.publish(
                TopicArn="arn:aws:sns:us-east-1:0:t",
                Message='{"prompt": "a & b = ä☃"}',
                MessageAttributes={
                    "runtime": {"DataType": "String", "StringValue": "a b"},
                    "accepted": {"DataType": "String", "StringValue": "true"},
                },
                MessageGroupId="group",
            ),
        ),
        ("s3", lambda s3: s3.put_object(Bucket="b", Key="out/ä b+~(1)/1.png", Body=b"data", ContentType="image/png")),
    ],
)
def test_a_request_is_the_one_that_the_sdk_makes(
    monkeypatch: pytest.MonkeyPatch, name: str, call: Callable[[Any], object], token: str | None
) -> None:
    if token:
        monkeypatch.setenv("AWS_SESSION_TOKEN", token)
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "api")
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1 x")
    success = {"sns": PUBLISHED, "s3": (200, b"")}.get(name, EMPTY)
    service = Service(success, success)
    with serving(service) as url:
        client = getattr(Clients(region="us-east-1", endpoint_url=url), name)
        call(client)
        # A client of ours is the SDK's but for these methods, which hide those of its class.
        shadowed = [method for method in vars(client) if not method.startswith("_") and method != "meta"]
        for method in shadowed:
            delattr(client, method)
        call(client)
        client.close()
    assert service.callers == ["direct", "sdk"]
    assert service.sent[0].meaning == service.sent[1].meaning


def test_calls_share_a_connection() -> None:
    service = Service()
    with serving(service) as url:
        sqs = Clients(region="us-east-1", endpoint_url=url).sqs
        for _ in range(3):
            sqs.delete_message(QueueUrl=f"{url}/0/queue", ReceiptHandle="r")
    assert service.connections == 1
    assert service.callers == ["direct"] * 3


def test_a_success_is_read_as_the_sdk_reads_it() -> None:
    with serving(Service((200, b'{"Item": {"pk": {"S": "a"}}}'), PUBLISHED)) as url:
        clients = Clients(region="us-east-1", endpoint_url=url)
        item = clients.dynamodb.get_item(TableName="t", Key={"pk": {"S": "a"}})["Item"]
        message_id = clients.sns.publish(TopicArn="arn", Message="m")["MessageId"]
    assert (item, message_id) == ({"pk": {"S": "a"}}, "m-1")


@pytest.mark.parametrize("answer", [(503, b"{}"), (Service.DROP, b""), (Service.CHUNKED, b"{}"), (301, b"{}")])
def test_whatever_is_no_plain_success_is_asked_again_by_the_sdk(answer: tuple[int, bytes]) -> None:
    service = Service(answer)
    with serving(service) as url:
        client = Clients(region="us-east-1", endpoint_url=url).sqs
        client.delete_message(QueueUrl=f"{url}/0/queue", ReceiptHandle="r")
        client.close()
    assert service.callers == ["direct", "sdk"]


def test_a_refusal_is_the_sdks_error() -> None:
    refusal = (400, b'{"__type": "com.amazonaws.sqs#ReceiptHandleIsInvalid", "message": "no"}')
    with serving(Service(refusal, refusal, refusal, refusal)) as url:
        client = Clients(region="us-east-1", endpoint_url=url).sqs
        with pytest.raises(ClientError):
            client.delete_message(QueueUrl=f"{url}/0/queue", ReceiptHandle="r")
        with pytest.raises(LeaseLost):
            SqsTaskQueue(client, f"{url}/0/queue").extend("r", timedelta(seconds=1))
        client.close()


def test_arguments_of_another_kind_go_the_sdks_way() -> None:
    service = Service((200, b""), PUBLISHED)
    with serving(service) as url:
        clients = Clients(region="us-east-1", endpoint_url=url)
        clients.s3.put_object(Bucket="b", Key="k", Body=b"data", ContentType="image/png", CacheControl="no-store")
        clients.sns.publish(
            TopicArn="arn", Message="m", MessageAttributes={"n": {"DataType": "Binary", "BinaryValue": b"1"}}
        )
        for client in (clients.s3, clients.sns):
            client.close()
    assert service.callers == ["sdk", "sdk"]


def test_a_service_that_does_not_answer_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def request(*_: Any) -> Any:
        asked.append(1)
        raise TimeoutError

    monkeypatch.setattr(connections.Connections, "request", request)
    clients = Clients(region="us-east-1", endpoint_url="http://127.0.0.1:9")
    with pytest.raises(ServiceUnavailable):
        SqsTaskQueue(clients.sqs, "http://127.0.0.1:9/0/queue").delete("r")
    assert len(asked) == 1


def test_a_connection_that_the_service_has_closed_meanwhile_is_not_used() -> None:
    service = Service()
    kept = connections.Connections(connect_timeout_s=1, read_timeout_s=1)
    with serving(service) as url:
        head = "POST / HTTP/1.1\r\nhost: x\r\n"
        kept.request(urlsplit(url), head, b"")
        ((idle,),) = kept._idle.values()
        idle.shutdown(socket.SHUT_RD)
        kept.request(urlsplit(url), head, b"")
    assert service.connections == 2


def test_behind_a_proxy_the_sdk_makes_every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setattr(connections.Connections, "request", lambda *_: pytest.fail("went past the proxy"))
    topic = SnsTopic(Clients(region="us-east-1").sns, "arn:aws:sns:us-east-1:0:t")
    with pytest.raises(ServiceUnavailable):
        topic.publish("m", {})
