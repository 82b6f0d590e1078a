"""`python -m sdfleet_bench.stub_aws`: SQS, SNS, S3 and DynamoDB as far as scheduler and handlers call them.

Each call waits for its service's latency and is then answered from memory. It is no substitute for the embedded
endpoint, which checks what it is asked; it is so quick that what is measured is not it. A call that it does not know
is refused and counted, so that no measurement rests on it.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import click

from sdfleet_bench.loopback_http import StubAnswer, StubRequest, json_answer, serve
from sdfleet_local.aws_latency import read_latencies, service_of

#: What the driver of a benchmark asks; no bucket is named so.
CONTROL = "/_bench/"
_METADATA = "/latest/"
_PUBLISHED = b"""<PublishResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/">\
<PublishResult><MessageId>5f0e1b1c-0000-4000-8000-000000000000</MessageId></PublishResult>\
<ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></PublishResponse>"""
_NO_SUCH_KEY = b"<Error><Code>NoSuchKey</Code><Message>There is no such object.</Message></Error>"


class StubAws:
    def __init__(self, latencies_ms: Mapping[str, float]) -> None:
        self._latencies_ms = latencies_ms
        self._visible: deque[dict[str, str]] = deque()
        self._in_flight: dict[str, dict[str, str]] = {}
        self._items: dict[str, dict[str, Any]] = {}
        self._objects: dict[str, bytes] = {}
        self._changed = asyncio.Condition()
        self._receipts = 0
        #: Calls by operation.
        self.calls: Counter[str] = Counter()

    async def answer(self, request: StubRequest) -> StubAnswer:
        if request.path.startswith(CONTROL):
            return await self._control(request)
        if request.path.startswith(_METADATA):
            return _metadata(request)
        service = service_of(authorization=request.headers.get("authorization", ""), query=request.query)
        latency_ms = self._latencies_ms.get(service or "", 0.0)
        if latency_ms:
            await asyncio.sleep(latency_ms / 1000)
        target = request.headers.get("x-amz-target", "").rpartition(".")[2]
        if service == "sqs":
            return await self._sqs(target, request.json())
        if service == "dynamodb":
            return self._dynamodb(target, request.json())
        if service == "sns" and b"Action=Publish" in request.body:
            self.calls["Publish"] += 1
            return StubAnswer(body=_PUBLISHED, content_type="text/xml")
        if service == "s3":
            return self._s3(request)
        return self._unknown(f"{service} {request.method} {request.path}")

    def _unknown(self, call: str) -> StubAnswer:
        self.calls["unknown"] += 1
        return json_answer({"__type": "UnknownOperation", "message": call}, HTTPStatus.BAD_REQUEST)

    async def _sqs(self, operation: str, body: dict[str, Any]) -> StubAnswer:
        self.calls[operation] += 1
        async with self._changed:
            if operation == "ReceiveMessage":
                return await self._receive(body)
            if operation == "ChangeMessageVisibility":
                if body["VisibilityTimeout"] == 0 and (message := self._in_flight.pop(body["ReceiptHandle"], None)):
                    self._visible.append(message)
            elif operation == "DeleteMessage":
                self._in_flight.pop(body["ReceiptHandle"], None)
            else:
                return self._unknown(f"sqs {operation}")
            self._changed.notify_all()
        return json_answer({})

    async def _receive(self, body: dict[str, Any]) -> StubAnswer:
        try:
            async with asyncio.timeout(body.get("WaitTimeSeconds", 0)):
                await self._changed.wait_for(lambda: self._visible)
        except TimeoutError:
            return json_answer({})
        received = []
        for _ in range(min(body.get("MaxNumberOfMessages", 1), len(self._visible))):
            message = self._visible.popleft()
            self._receipts += 1
            receipt = f"receipt-{self._receipts}"
            self._in_flight[receipt] = message
            attributes = {"ApproximateReceiveCount": "1"}
            received.append({**message, "ReceiptHandle": receipt, "Attributes": attributes})
        return json_answer({"Messages": received})

    def _dynamodb(self, operation: str, body: dict[str, Any]) -> StubAnswer:
        self.calls[operation] += 1
        if operation == "GetItem":
            item = self._items.get(body["Key"]["pk"]["S"])
            return json_answer({"Item": item} if item else {})
        if operation == "PutItem":
            return self._put_item(body)
        if operation == "UpdateItem":
            # What the instance says of its work: nobody here reads it.
            return json_answer({})
        return self._unknown(f"dynamodb {operation}")

    def _put_item(self, body: dict[str, Any]) -> StubAnswer:
        """With the two conditions that the task table knows: a revision, or that there is none."""
        key = body["Item"]["pk"]["S"]
        stored = self._items.get(key)
        expected = body.get("ExpressionAttributeValues", {}).get(":revision")
        is_met = stored is None if expected is None else stored is not None and stored["revision"] == expected
        if body.get("ConditionExpression") and not is_met:
            refusal = {"__type": "ConditionalCheckFailedException", "message": "The conditional request failed"}
            return json_answer({**refusal, "Item": stored or {}}, HTTPStatus.BAD_REQUEST)
        self._items[key] = body["Item"]
        return json_answer({})

    def _s3(self, request: StubRequest) -> StubAnswer:
        self.calls[f"{request.method} object"] += 1
        if request.method == "PUT":
            # Contents may be read again; of pictures the name is enough.
            self._objects[request.path] = request.body if len(request.body) < 100_000 else b""
            return StubAnswer(headers={"etag": '"0"'})
        stored = self._objects.get(request.path)
        if stored is None:
            return StubAnswer(HTTPStatus.NOT_FOUND, _NO_SUCH_KEY, "application/xml")
        return StubAnswer(body=stored, content_type="binary/octet-stream")

    async def _control(self, request: StubRequest) -> StubAnswer:
        action = request.path.removeprefix(CONTROL)
        if action == "fill":
            filling = request.json()
            async with self._changed:
                self._items |= filling["items"]
                self._visible.extend({"MessageId": name, "Body": body} for name, body in filling["messages"].items())
                self.calls.clear()
                self._changed.notify_all()
            return json_answer({})
        if action == "deleted":
            # Answers once this many messages have been deleted since they were filled in.
            async with self._changed:
                await self._changed.wait_for(lambda: self.calls["DeleteMessage"] >= request.json())
            return json_answer({})
        return json_answer({"calls": self.calls, "statuses": Counter(map(_status, self._items.values()))})


def _status(item: dict[str, Any]) -> str:
    return str(item.get("status", {}).get("S"))


def _metadata(request: StubRequest) -> StubAnswer:
    if request.path.endswith("/token"):
        return StubAnswer(body=b"token", content_type="text/plain")
    if request.path.endswith("/instance-id"):
        return StubAnswer(body=b"i-0benchmark", content_type="text/plain")
    return StubAnswer(HTTPStatus.NOT_FOUND)


@click.command()
@click.option("--latency-ms", default="")
def main(latency_ms: str) -> None:
    asyncio.run(_main(read_latencies(latency_ms)))


async def _main(latencies_ms: Mapping[str, float]) -> None:
    await serve(StubAws(latencies_ms).answer)


if __name__ == "__main__":
    main()
