from __future__ import annotations

from datetime import timedelta

import pytest

from builders import an_artifact
from sdfleet.domain import transitions
from sdfleet.domain.task import Task
from sdfleet_lambdas import proxy
from sdfleet_lambdas.waiting import preferred_wait
from service_harness import Answer, Fuse, Fused, Harness, a_request, an_event


@pytest.fixture
def harness() -> Harness:
    return Harness()


def finish(harness: Harness, *, after: timedelta) -> None:
    """An instance finishes the task once `after` has passed."""
    end = harness.clock.now() + after

    def look() -> None:
        if harness.clock.now() < end or harness.task().is_terminal:
            return

        def run(task: Task) -> Task:
            claimed = transitions.claim(task, run=task.run, token="t", instance_id="i", lease_until=end, now=end)
            return transitions.succeed(
                claimed, run=task.run, token="t", artifacts=(an_artifact(),), output_url="s3://b/o.out", now=end
            )

        harness.change(run)

    harness.meanwhile = look


def wait(harness: Harness, prefer: str, path: str = "/v1alpha2") -> Answer:
    return harness.post(a_request(), path, prefer=prefer)


def test_a_task_that_ends_in_time_is_answered_finished(harness: Harness) -> None:
    finish(harness, after=timedelta(seconds=3))

    answer = wait(harness, "wait=20")

    assert answer.status == 200
    assert answer.body["status"] == "succeeded"
    assert answer.body["image_link"][0].startswith("https://")
    assert answer.headers["Preference-Applied"] == "wait=20"
    assert sum(harness.slept) < 4


def test_a_task_that_does_not_end_in_time_is_a_202_with_its_location(harness: Harness) -> None:
    answer = wait(harness, "wait=5")

    assert answer.status == 202
    assert answer.body["id"] == "test-t2i"
    assert answer.headers["Location"] == "/prod/v1alpha2/tasks/test-t2i"
    assert sum(harness.slept) == pytest.approx(5)


def test_pauses_grow_to_half_a_second(harness: Harness) -> None:
    wait(harness, "wait=20")
    assert harness.slept[0] == pytest.approx(0.1)
    assert max(harness.slept) == pytest.approx(0.5)


def test_nobody_waits_longer_than_25_seconds(harness: Harness) -> None:
    answer = wait(harness, "wait=3600")
    assert sum(harness.slept) == pytest.approx(25)
    assert answer.headers["Preference-Applied"] == "wait=25"


def test_a_full_room_sends_everybody_away_at_once(harness: Harness) -> None:
    now = harness.clock.now()
    for token in ("a", "b"):
        harness.waiting_room.enter(token, now=now, until=now + timedelta(seconds=30))

    answer = wait(harness, "wait=20")

    assert answer.status == 202
    assert answer.headers["Location"]
    assert "Preference-Applied" not in answer.headers
    assert harness.slept == []


def test_the_room_is_left_even_when_waiting_fails(harness: Harness) -> None:
    harness.rewire(sleep=Fused(harness, Fuse(at=0, error=RuntimeError("broken")), "_sleep")._sleep)
    wait(harness, "wait=20")

    now = harness.clock.now()
    until = now + timedelta(seconds=1)
    assert [harness.waiting_room.enter(token, now=now, until=until) for token in "ab"] == [True, True]


def test_an_outage_of_the_room_does_not_take_the_acceptance_back(harness: Harness) -> None:
    harness.rewire(waiting_room=Fused(harness.waiting_room, Fuse(at=0), "enter"))
    assert wait(harness, "wait=20").status == 202


def test_an_outage_while_leaving_the_room_does_not_spoil_the_answer(harness: Harness) -> None:
    finish(harness, after=timedelta(seconds=1))
    harness.rewire(waiting_room=Fused(harness.waiting_room, Fuse(at=0), "leave"))
    assert wait(harness, "wait=20").status == 200


def test_a_wait_of_zero_looks_once(harness: Harness) -> None:
    assert wait(harness, "wait=0").status == 202
    assert harness.slept == []


def test_a_task_that_failed_is_finished_too(harness: Harness) -> None:
    def cancel() -> None:
        harness.call("DELETE", "/v1alpha2/tasks/test-t2i")

    harness.meanwhile = cancel
    answer = wait(harness, "wait=20")
    assert answer.body["error"]["code"] == "cancelled"


def test_a_run_that_another_run_replaced_is_not_waited_for(harness: Harness) -> None:
    def replace_run() -> None:
        if len(harness.published_runs()) == 1:
            harness.call("DELETE", "/v1alpha2/tasks/test-t2i")
            harness.submit()

    harness.meanwhile = replace_run
    assert wait(harness, "wait=20").status == 202
    assert len(harness.slept) == 1


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        ("wait=20", 20),
        ("WAIT=7", 7),
        ('wait="9"', 9),
        ("respond-async, wait=10", 10),
        ("wait=10; foo=bar", 10),
        ("wait = 10", 10),
        ("wait=10, wait=20", 10),
        ("wait=99999999", 25),
        ("wait=-1", None),
        ("wait=ten", None),
        ("wait", None),
        ("wait=1.5", None),
        ("await=10", None),
        ("", None),
    ],
)
def test_preferences_are_read_as_rfc_7240_says(prefer: str, seconds: int | None) -> None:
    request = proxy.read(an_event("POST", "/v1alpha2", headers={"prefer": prefer}))
    expected = None if seconds is None else timedelta(seconds=seconds)
    assert preferred_wait(request) == expected


def test_preferences_may_come_in_several_headers() -> None:
    event = an_event("POST", "/v1alpha2", multiValueHeaders={"Prefer": ["respond-async", "wait=4"]})
    assert preferred_wait(proxy.read(event)) == timedelta(seconds=4)
