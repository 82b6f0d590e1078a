"""What the embedded endpoint has beyond moto: nothing is lost between concurrent callers."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from running_service import eventually
from sdfleet.aws.clients import Clients
from sdfleet.aws.task_queue import SqsTaskQueue
from sdfleet_local import child
from sdfleet_local.loopback import free_port, listens

MINUTE = timedelta(minutes=1)
NOW = timedelta(0)


@pytest.fixture(scope="module")
def clients() -> Iterator[Clients]:
    port = free_port()
    command = [sys.executable, "-m", "sdfleet_local.aws_endpoint", "--port", str(port)]
    with subprocess.Popen(command, env=child.base_environment()) as process:
        with pytest.MonkeyPatch.context() as patch:
            for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
                patch.setenv(name, "any")
            eventually(lambda: listens(port))
            clients = Clients(region="us-east-1", endpoint_url=f"http://127.0.0.1:{port}")
            _ = clients.sqs, clients.dynamodb, clients.sns
            yield clients
            for client in (clients.sqs, clients.dynamodb, clients.sns):
                client.close()
        process.terminate()


def a_queue(clients: Clients, name: str) -> SqsTaskQueue:
    return SqsTaskQueue(clients.sqs, clients.sqs.create_queue(QueueName=name)["QueueUrl"])


def test_messages_sent_while_others_are_deleted_are_not_lost(clients: Clients) -> None:
    queue = a_queue(clients, "busy")
    received: list[str] = []

    def send(number: int) -> None:
        queue.send(str(number))

    def consume(_: int) -> None:
        quiet_since = time.monotonic()
        while time.monotonic() - quiet_since < 0.5:
            for message in queue.receive(max_messages=1, wait=NOW, visibility=MINUTE):
                received.append(message.body)
                queue.delete(message.receipt)
                quiet_since = time.monotonic()

    with ThreadPoolExecutor(8) as pool:
        consumers = [pool.submit(consume, number) for number in range(4)]
        list(pool.map(send, range(150)))
        for consumer in consumers:
            consumer.result()
    assert sorted(map(int, received)) == list(range(150))


def test_a_message_is_not_given_to_a_client_that_has_gone(clients: Clients) -> None:
    queue = a_queue(clients, "deserted")
    host, port = "127.0.0.1", int(clients.sqs.meta.endpoint_url.rsplit(":", 1)[1])
    url = clients.sqs.get_queue_url(QueueName="deserted")["QueueUrl"]
    body = f'{{"QueueUrl": "{url}", "WaitTimeSeconds": 20, "VisibilityTimeout": 60}}'
    with socket.create_connection((host, port)) as connection:
        connection.sendall(
            (
                "POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: AmazonSQS.ReceiveMessage\r\n"
                "Content-Type: application/x-amz-json-1.0\r\n"
                "Authorization: AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/sqs/aws4_request, "
                f"SignedHeaders=host, Signature=b\r\nContent-Length: {len(body)}\r\n\r\n{body}"
            ).encode()
        )
        time.sleep(0.3)
    time.sleep(0.5)
    queue.send("for somebody who is there")
    assert len(queue.receive(max_messages=1, wait=timedelta(seconds=2), visibility=MINUTE)) == 1


def test_a_long_poll_ends_with_the_first_message(clients: Clients) -> None:
    queue = a_queue(clients, "awaited")
    with ThreadPoolExecutor(1) as pool:
        poll = pool.submit(queue.receive, max_messages=1, wait=timedelta(seconds=20), visibility=MINUTE)
        time.sleep(0.2)
        began = time.monotonic()
        queue.send("here")
        assert len(poll.result()) == 1
        assert time.monotonic() - began < 2


def test_a_refused_transaction_undoes_nobody_elses_write(clients: Clients) -> None:
    dynamodb = clients.dynamodb
    dynamodb.create_table(
        TableName="t",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
    )
    dynamodb.put_item(TableName="t", Item={"k": {"S": "taken"}})
    # botocore makes the class at its first use, and two of them if two threads come at once.
    refusal = dynamodb.exceptions.TransactionCanceledException

    def write(number: int) -> None:
        if number % 2:
            dynamodb.put_item(TableName="t", Item={"k": {"S": str(number)}})
            return
        refused: Any = {
            "TableName": "t",
            "Item": {"k": {"S": "taken"}},
            "ConditionExpression": "attribute_not_exists(k)",
        }
        with pytest.raises(refusal):
            dynamodb.transact_write_items(TransactItems=[{"Put": refused}])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(100)))
    assert dynamodb.scan(TableName="t")["Count"] == 51
