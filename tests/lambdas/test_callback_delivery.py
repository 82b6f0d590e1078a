from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from builders import NOON, a_succeeded_task
from sdfleet.domain import callback, names
from sdfleet.domain.callback import MAX_TRIES, Target
from sdfleet.domain.task import TaskOptions
from sdfleet.domain.wire import answers
from sdfleet.domain.wire.callbacks import FILTER_POLICY, read_callback
from sdfleet.errors import MalformedMessage
from sdfleet.memory.callback_secret import MemoryCallbackSecret
from sdfleet.memory.clock import FakeClock
from sdfleet.memory.task_queue import MemoryTaskQueue
from sdfleet_lambdas import callbacks, submission
from sdfleet_lambdas.callback_services import SECRET_LIFETIME, CallbackServices, SigningKeys
from sdfleet_lambdas.guarded_post import PostAnswer, PostFailed
from sdfleet_local.event_sources import QueueSource
from service_harness import Harness, a_request, sqs_event

URL = "https://hooks.example/in?token=secret"
TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"


@dataclass
class Receiver:
    """Answers as the test says, the last answer for ever; keeps what came, and when."""

    clock: FakeClock
    answers: list[PostAnswer | Exception]
    posts: list[tuple[datetime, Target, dict[str, str], bytes]] = field(default_factory=list)

    def __call__(self, target: Target, headers: Mapping[str, str], body: bytes) -> PostAnswer:
        self.posts.append((self.clock.now(), target, dict(headers), body))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Delivery:
    """The callback queue with the real handler behind it, on a clock of the test's."""

    def __init__(self, *answers: PostAnswer | Exception) -> None:
        self.clock = FakeClock(NOON)
        self.dead_letters = MemoryTaskQueue(self.clock)
        self.queue = MemoryTaskQueue(self.clock, dead_letters=self.dead_letters, max_receive_count=MAX_TRIES)
        self.receiver = Receiver(self.clock, list(answers) or [PostAnswer(204)])
        self.secret = MemoryCallbackSecret()
        services = CallbackServices(self.queue, SigningKeys(self.secret, self.clock), self.receiver, self.clock)
        self._source = QueueSource(
            self.queue,
            "arn:aws:sqs:us-east-1:1:callbacks",
            "us-east-1",
            lambda event, _: callbacks.handle(event, services),
        )

    def run(self, duration: timedelta, *, step: timedelta = timedelta(seconds=30)) -> None:
        end = self.clock.now() + duration
        while self.clock.now() <= end and self.queue.depth():
            self._source.poll_once(wait=timedelta(0))
            self.clock.advance(step)

    def once(self) -> None:
        self._source.poll_once(wait=timedelta(0))


def an_envelope(body: str = '{"id":"test-t2i"}', **attributes: str) -> str:
    named = {"id": "test-t2i", answers.CALLBACK_URL: URL, answers.CALLBACK_ID: "msg_1", **attributes}
    return json.dumps(
        {
            "Type": "Notification",
            "MessageId": "m-1",
            "Message": body,
            "MessageAttributes": {name: {"Type": "String", "Value": value} for name, value in named.items()},
        }
    )


@pytest.fixture
def harness() -> Harness:
    return Harness()


def counted(capsys: pytest.CaptureFixture[str]) -> list[str]:
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [line["_aws"]["CloudWatchMetrics"][0]["Metrics"][0]["Name"] for line in lines]


def test_a_notice_is_posted_as_it_is_and_signed(capsys: pytest.CaptureFixture[str]) -> None:
    delivery = Delivery()
    delivery.queue.send(an_envelope('{"id": "ü"}'))
    delivery.once()
    ((at, target, headers, body),) = delivery.receiver.posts
    assert body == '{"id": "ü"}'.encode()
    assert (target.host, target.path) == ("hooks.example", "/in?token=secret")
    assert headers["webhook-id"] == "msg_1"
    assert headers["webhook-timestamp"] == str(int(at.timestamp()))
    keys = callback.read_secrets(delivery.secret.read())
    expected = callback.signature(keys, event_id="msg_1", timestamp=int(at.timestamp()), body=body)
    assert headers["webhook-signature"] == expected
    assert headers["Content-Type"] == "application/json"
    assert delivery.queue.depth() == 0
    assert counted(capsys) == [names.CALLBACKS_DELIVERED]


def test_the_receiver_learns_the_trace() -> None:
    delivery = Delivery()
    delivery.queue.send(an_envelope(AWSTraceHeader=TRACE))
    delivery.once()
    headers = delivery.receiver.posts[0][2]
    assert headers["traceparent"] == "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01"


def test_a_failed_try_comes_again_after_its_delay_with_the_same_id_and_a_new_time() -> None:
    delivery = Delivery(PostFailed("hooks.example cannot be reached"), PostAnswer(500), PostAnswer(200))
    delivery.queue.send(an_envelope())
    delivery.run(timedelta(minutes=10), step=timedelta(seconds=1))
    times = [post[0] for post in delivery.receiver.posts]
    headers = [post[2] for post in delivery.receiver.posts]
    assert len(times) == 3
    assert timedelta(seconds=5) <= times[1] - times[0] <= timedelta(seconds=7)
    assert timedelta(seconds=30) <= times[2] - times[1] <= timedelta(seconds=35)
    assert {one["webhook-id"] for one in headers} == {"msg_1"}
    assert len({one["webhook-timestamp"] for one in headers}) == 3
    assert delivery.queue.depth() == 0


def test_after_a_day_of_failures_the_dead_letter_queue_has_it(capsys: pytest.CaptureFixture[str]) -> None:
    delivery = Delivery(PostAnswer(500))
    delivery.queue.send(an_envelope())
    delivery.run(timedelta(days=3))
    times = [post[0] for post in delivery.receiver.posts]
    assert len(times) == MAX_TRIES
    assert timedelta(hours=24) <= times[-1] - times[0] <= timedelta(hours=27)
    assert delivery.queue.depth() == 0
    (kept,) = delivery.dead_letters.receive(max_messages=10, wait=timedelta(0), visibility=timedelta(seconds=30))
    assert kept.body == an_envelope()
    assert counted(capsys) == [names.CALLBACK_TRIES_FAILED] * (MAX_TRIES - 1) + [names.CALLBACKS_FAILED]


def test_a_receiver_that_is_gone_ends_it(capsys: pytest.CaptureFixture[str]) -> None:
    delivery = Delivery(PostAnswer(410))
    delivery.queue.send(an_envelope())
    delivery.run(timedelta(hours=1))
    assert len(delivery.receiver.posts) == 1
    assert delivery.queue.depth() == delivery.dead_letters.depth() == 0
    assert counted(capsys) == [names.CALLBACKS_FAILED]


def test_retry_after_is_respected() -> None:
    delivery = Delivery(PostAnswer(429, "600"), PostAnswer(200))
    delivery.queue.send(an_envelope())
    delivery.run(timedelta(hours=1))
    times = [post[0] for post in delivery.receiver.posts]
    assert timedelta(minutes=10) <= times[1] - times[0] <= timedelta(minutes=11)


@pytest.mark.parametrize("status", [302, 400, 401, 404, 500])
def test_every_other_answer_is_tried_again(status: int) -> None:
    delivery = Delivery(PostAnswer(status), PostAnswer(200))
    delivery.queue.send(an_envelope())
    delivery.run(timedelta(minutes=5))
    assert len(delivery.receiver.posts) == 2


def test_one_receivers_failure_is_not_the_others() -> None:
    delivery = Delivery(PostAnswer(500), PostAnswer(200))
    for number in range(5):
        delivery.queue.send(an_envelope(callback_id=f"msg_{number}"))
    delivery.once()
    assert len(delivery.receiver.posts) == 5
    assert delivery.queue.depth() == 1


def test_an_address_that_turned_private_is_not_posted_to() -> None:
    delivery = Delivery()
    delivery.queue.send(an_envelope(callback_url="http://10.0.0.1/hook"))
    delivery.run(timedelta(days=3))
    assert delivery.receiver.posts == []
    assert delivery.dead_letters.depth() == 1


@pytest.mark.parametrize("body", ["no json", "[]", "{}", an_envelope(callback_id=""), an_envelope(callback_url="")])
def test_what_is_no_notice_ends_in_the_dead_letter_queue(body: str) -> None:
    delivery = Delivery()
    delivery.queue.send(body)
    delivery.run(timedelta(hours=2))
    assert delivery.receiver.posts == []
    assert delivery.dead_letters.depth() == 1


def test_a_rotated_secret_signs_beside_the_former_one_until_that_is_dropped() -> None:
    delivery = Delivery()
    former = delivery.secret.read()
    counts = []
    for change in (delivery.secret.read, delivery.secret.rotate, delivery.secret.drop_former):
        change()
        delivery.clock.advance(SECRET_LIFETIME)
        delivery.queue.send(an_envelope())
        delivery.once()
        counts.append(len(delivery.receiver.posts[-1][2]["webhook-signature"].split()))
    assert counts == [1, 2, 1]
    assert delivery.secret.read() != former


def test_logs_never_show_the_query_or_the_path(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    delivery = Delivery(PostAnswer(500), PostAnswer(200))
    delivery.queue.send(an_envelope())
    delivery.run(timedelta(minutes=5))
    written = "\n".join(str(vars(record)) for record in caplog.records)
    assert "callback.postponed" in written
    assert "callback.delivered" in written
    assert "token" not in written
    assert "whsec_" not in written


def test_the_queue_takes_only_notices_with_an_address() -> None:
    harness = Harness()
    queue = MemoryTaskQueue(harness.clock)
    harness.results.subscribe(queue, FILTER_POLICY)
    for task_id, extra in (("with", {"callback_url": URL}), ("without", {})):
        harness.submit(id=task_id, **extra)
        harness.call("DELETE", f"/v1alpha2/tasks/{task_id}")
    assert queue.depth() == 1
    assert len(harness.results.published) == 2


def test_a_cancelled_task_calls_back() -> None:
    harness = Harness()
    harness.submit(callback_url=URL)
    harness.call("DELETE", "/v1alpha2/tasks/test-t2i")
    (notice,) = harness.results.published
    assert notice.attributes[answers.CALLBACK_URL] == URL
    assert notice.attributes[answers.CALLBACK_ID].startswith("msg_")
    assert json.loads(notice.body)["status"] == "cancelled"


def test_a_refused_direct_message_calls_back(harness: Harness) -> None:
    body = json.dumps(a_request(runtime="nowhere", callback_url=URL)["task"])
    submission.handle(sqs_event(body), harness.services)
    (notice,) = harness.results.published
    assert notice.attributes[answers.CALLBACK_URL] == URL
    assert json.loads(notice.body)["error"]["code"] == "invalid_request"


def test_a_refused_direct_message_does_not_call_an_address_that_is_refused_itself(harness: Harness) -> None:
    body = json.dumps(a_request(callback_url="https://10.0.0.1/")["task"])
    submission.handle(sqs_event(body), harness.services)
    (notice,) = harness.results.published
    assert answers.CALLBACK_URL not in notice.attributes


def test_the_status_shows_the_address_without_its_query(harness: Harness) -> None:
    harness.submit(callback_url=URL)
    view = harness.call("GET", "/v1alpha2/tasks/test-t2i").body
    assert view["callback_url"] == "https://hooks.example/in"


def test_the_same_id_with_another_address_is_another_task(harness: Harness) -> None:
    harness.submit(callback_url=URL)
    assert harness.post(a_request(callback_url=URL)).status == 200
    assert harness.post(a_request(callback_url="https://other.example/")).status == 409
    assert harness.post(a_request()).status == 409


def test_a_doubled_notice_has_the_same_id() -> None:
    task = a_succeeded_task(options=TaskOptions(callback_url=URL))
    assert answers.notice_attributes(task) == answers.notice_attributes(task)
    assert answers.notice_attributes(task)["result"] == "true"


def test_the_envelope_is_read_as_sns_writes_it() -> None:
    notice = read_callback(an_envelope(AWSTraceHeader=TRACE))
    assert (notice.event_id, notice.url, notice.task_id, notice.trace_header) == ("msg_1", URL, "test-t2i", TRACE)
    assert URL not in repr(notice)
    with pytest.raises(MalformedMessage, match="callback_url"):
        read_callback(json.dumps({"Message": "{}"}))
