from __future__ import annotations

import json
import logging

import pytest

from sdfleet.domain import names
from sdfleet.telemetry.logs import JsonFormatter
from service_harness import Harness, a_request


def counted(caplog: pytest.LogCaptureFixture, metric: str) -> int:
    lines = [json.loads(JsonFormatter().format(record)) for record in caplog.records]
    return sum(line.get(metric, 0) for line in lines if "_aws" in line)


def test_accepted_and_refused_requests_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    harness = Harness()
    harness.submit(id="one")
    harness.submit(id="two")
    harness.post(a_request(runtime="nowhere"))
    assert counted(caplog, names.REQUESTS_ACCEPTED) == 2
    assert counted(caplog, names.REQUESTS_REFUSED) == 1


def test_a_request_that_is_repeated_is_not_accepted_twice(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    harness = Harness()
    harness.submit(id="one")
    harness.submit(id="one")
    assert counted(caplog, names.REQUESTS_ACCEPTED) == 1


def test_what_is_no_submission_is_not_a_refused_one(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    Harness().call("GET", "/v1alpha2/tasks/unknown")
    assert counted(caplog, names.REQUESTS_REFUSED) == 0


def test_a_task_that_ends_in_a_handler_is_counted_once(capsys: pytest.CaptureFixture[str]) -> None:
    harness = Harness()
    harness.submit()
    harness.call("DELETE", "/v1alpha2/tasks/test-t2i")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line[names.TASKS_CANCELLED] for line in lines] == [1]


def test_a_new_task_is_one_line_and_every_other_request_is_one_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    harness = Harness()
    harness.submit(id="one")
    assert [record.message for record in caplog.records] == ["task.accepted"]
    caplog.clear()
    harness.submit(id="one")
    harness.call("GET", "/v1alpha2/tasks/one")
    assert [record.message for record in caplog.records] == ["request.answered"] * 2
