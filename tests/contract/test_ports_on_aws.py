"""What only the AWS side of the ports can get wrong: errors, rounding, lost answers, links, the table, the item."""

from __future__ import annotations

import urllib.error
import urllib.request
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, ParamValidationError
from botocore.stub import ANY, Stubber

from builders import NOON, a_queued_task, a_running_task, a_succeeded_task, a_task
from sdfleet.aws.artifact_store import S3ArtifactStore
from sdfleet.aws.clients import READ_TIMEOUT_S, Clients
from sdfleet.aws.error_mapping import translated
from sdfleet.aws.task_queue import SqsTaskQueue
from sdfleet.aws.task_record import DUE_AT, TTL_ATTRIBUTE, from_item, to_item
from sdfleet.aws.task_table import DynamoTaskStore, table_definition
from sdfleet.domain.task import RECORD_LIFETIME
from sdfleet.errors import LeaseLost, ObjectNotFound, RecordConflict, SdfleetError, ServiceUnavailable
from sdfleet.memory.clock import FakeClock

URL = "s3://contract-objects/uploads/a.png"
LONG_POLL_S = 20


def an_error(code: str, operation: str = "PutItem", *, message: str = "", **more: Any) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": message}, **more}
    return ClientError(response, operation)


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (an_error("ReceiptHandleIsInvalid"), LeaseLost),
        (an_error("AWS.SimpleQueueService.MessageNotInflight"), LeaseLost),
        (
            an_error(
                "InvalidParameterValue",
                message="Reason: Message does not exist or is not available for visibility timeout change.",
            ),
            LeaseLost,
        ),
        (
            an_error("InvalidParameterValue", message="Reason: The receipt handle has expired."),
            LeaseLost,
        ),
        (
            an_error(
                "InvalidParameterValue",
                message="Reason: Total VisibilityTimeout for the message is beyond the limit [43200 seconds]",
            ),
            LeaseLost,
        ),
        (an_error("ConditionalCheckFailedException"), RecordConflict),
        (
            an_error(
                "TransactionCanceledException",
                CancellationReasons=[{"Code": "None"}, {"Code": "ConditionalCheckFailed"}],
            ),
            RecordConflict,
        ),
        (
            an_error("TransactionCanceledException", CancellationReasons=[{"Code": "TransactionConflict"}]),
            ServiceUnavailable,
        ),
        (an_error("ParameterNotFound"), ObjectNotFound),
        (an_error("NoSuchKey", "GetObject"), ObjectNotFound),
        (an_error("AccessDenied", "GetObject"), ObjectNotFound),
        (an_error("403", "HeadObject"), ObjectNotFound),
        (an_error("AccessDenied", "PutObject"), ServiceUnavailable),
        (an_error("ExpiredToken", "GetObject"), ServiceUnavailable),
        (an_error("ThrottlingException"), ServiceUnavailable),
        (an_error("ProvisionedThroughputExceededException"), ServiceUnavailable),
        (an_error("InternalServerError"), ServiceUnavailable),
        (EndpointConnectionError(endpoint_url="https://sqs"), ServiceUnavailable),
        (NoCredentialsError(), ServiceUnavailable),
    ],
)
def test_an_error_of_aws_becomes_ours(error: Exception, ours: type[SdfleetError]) -> None:
    with pytest.raises(SdfleetError) as caught, translated():
        raise error
    assert type(caught.value) is ours
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [an_error("ValidationException"), ParamValidationError(report="")])
def test_a_call_that_is_wrong_however_often_it_is_made_stays_what_it_is(error: Exception) -> None:
    with pytest.raises(type(error)), translated():
        raise error


def test_an_unreachable_service_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    sqs = Clients(region="eu-central-1", endpoint_url="http://127.0.0.1:9").sqs
    with pytest.raises(ServiceUnavailable):
        SqsTaskQueue(sqs, "http://127.0.0.1:9/queue").send("a")
    sqs.close()


def test_a_long_poll_ends_before_the_client_gives_up(clients: Clients) -> None:
    config: Any = clients.sqs.meta.config
    assert config.read_timeout == READ_TIMEOUT_S
    assert READ_TIMEOUT_S > LONG_POLL_S


def test_sqs_gets_whole_seconds_rounded_up(clients: Clients) -> None:
    with Stubber(clients.sqs) as sqs:
        sqs.add_response(
            "receive_message",
            {},
            {
                "QueueUrl": "url",
                "MaxNumberOfMessages": 10,
                "WaitTimeSeconds": 1,
                "VisibilityTimeout": 31,
                "MessageSystemAttributeNames": ANY,
            },
        )
        queue = SqsTaskQueue(clients.sqs, "url")
        queue.receive(max_messages=10, wait=timedelta(seconds=0.1), visibility=timedelta(seconds=30.5))
        sqs.assert_no_pending_responses()


def test_a_write_whose_answer_was_lost_is_no_conflict(clients: Clients, table_name: str) -> None:
    """The SDK repeats the call, and the repetition finds what the first one wrote."""
    store = DynamoTaskStore(clients.dynamodb, table_name, clock=FakeClock(NOON))
    task = store.create(a_queued_task(), replacing=None, now=NOON)
    put_item = clients.dynamodb.put_item

    class Repeating:
        def put_item(self, **arguments: Any) -> Any:
            put_item(**arguments)
            return put_item(**arguments)

    repeating: Any = Repeating()
    saved = DynamoTaskStore(repeating, table_name).save(a_running_task(), expecting=task)
    assert store.load(task.id) == saved


def test_an_equal_write_of_somebody_else_is_a_conflict(clients: Clients, table_name: str) -> None:
    store = DynamoTaskStore(clients.dynamodb, table_name, clock=FakeClock(NOON))
    task = store.create(a_queued_task(), replacing=None, now=NOON)
    store.save(a_running_task(), expecting=task)
    with pytest.raises(RecordConflict):
        store.save(a_running_task(), expecting=task)


def test_the_table_expires_records_by_their_lifetime() -> None:
    assert to_item(a_task())[TTL_ATTRIBUTE] == {"N": str(int((NOON + RECORD_LIFETIME).timestamp()))}


def test_only_a_task_that_wants_something_is_in_the_index() -> None:
    assert DUE_AT in to_item(a_succeeded_task())
    assert DUE_AT not in to_item(a_succeeded_task(notified_at=NOON))


def test_due_tasks_are_spread_over_the_index() -> None:
    shards = {to_item(a_task(id=f"task-{number}"))["due_shard"]["S"] for number in range(50)}
    assert shards == {"due#0", "due#1", "due#2", "due#3"}


def test_an_item_of_a_later_version_is_read() -> None:
    assert from_item({**to_item(a_task()), "mood": {"S": "serene"}}) == a_task()


def test_an_item_of_an_earlier_version_has_the_defaults() -> None:
    item = to_item(a_task())
    assert {"options", "losses", "artifacts", "cancel_requested", "progress", "attempt"}.isdisjoint(item)
    assert from_item(item) == a_task()


def test_the_table_is_paid_by_request() -> None:
    assert table_definition("tasks")["BillingMode"] == "PAY_PER_REQUEST"


def test_a_link_reads_without_credentials(clients: Clients) -> None:
    objects = S3ArtifactStore(clients.s3)
    objects.put(URL, b"\x89PNG", content_type="image/png")
    with urllib.request.urlopen(objects.link(URL, lifetime=timedelta(hours=1)), timeout=5) as answer:
        assert answer.read() == b"\x89PNG"
        assert answer.headers["Content-Type"] == "image/png"


def test_an_upload_link_takes_a_plain_put(clients: Clients) -> None:
    objects = S3ArtifactStore(clients.s3)
    link = objects.upload_link(URL, content_type="image/png", size_bytes=3, lifetime=timedelta(hours=1))
    request = urllib.request.Request(link, data=b"new", method="PUT", headers={"Content-Type": "image/png"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        assert answer.status == 200
    assert objects.get(URL, max_bytes=3) == b"new"


def test_on_aws_links_name_the_bucket_and_its_region(monkeypatch: pytest.MonkeyPatch) -> None:
    """A link to the global endpoint is redirected while the bucket is young, and a redirected PUT fails."""
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    for region in ("us-east-1", "eu-central-1"):
        s3 = Clients(region=region).s3
        link = urlsplit(S3ArtifactStore(s3).link(URL, lifetime=timedelta(hours=1)))
        s3.close()
        assert link.netloc == f"contract-objects.s3.{region}.amazonaws.com"
        assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in link.query
