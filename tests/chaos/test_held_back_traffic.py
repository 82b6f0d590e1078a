"""Tasks that wait for the storm."""

from __future__ import annotations

import json
import threading
import time
from typing import Any, cast

import pytest

from sdfleet.aws.clients import Clients
from sdfleet_local.chaos.traffic import Traffic
from sdfleet_local.chaos.workload import DoubleWorkload

OUTPUTS = {"FrontApiEndpoint": "http://127.0.0.1:1/", "ApiKey": "k", "sdNotificationLambdaARN": "arn"}


class AcceptingTraffic(Traffic):
    """Every task is accepted without a service."""

    def _post(self, body: dict[str, Any]) -> bool:
        return True

    def _publish(self, body: str) -> bool:
        return bool(json.loads(body))


@pytest.fixture
def traffic() -> AcceptingTraffic:
    return AcceptingTraffic(OUTPUTS, cast(Clients, None), DoubleWorkload(), tasks=40, seed=1, share=0.1)


def eventually_accepted(traffic: Traffic, count: int) -> None:
    end = time.monotonic() + 10
    while len(traffic.accepted) < count:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_no_more_tasks_are_submitted_than_were_released(traffic: AcceptingTraffic) -> None:
    thread = threading.Thread(target=traffic.submit_all)
    thread.start()
    for share, count in ((0.1, 4), (0.5, 20), (0.2, 20), (1.0, 40)):
        traffic.release(share)
        eventually_accepted(traffic, count)
        time.sleep(0.12)
        assert len(traffic.accepted) == count
    thread.join(10)


def test_the_end_of_the_storm_ends_the_waiting(traffic: AcceptingTraffic) -> None:
    thread = threading.Thread(target=traffic.submit_all)
    thread.start()
    eventually_accepted(traffic, 4)
    traffic.stop()
    thread.join(10)
    assert not thread.is_alive()
    assert len(traffic.accepted) == 4
