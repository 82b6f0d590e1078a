"""Notices, deadlines, and what the running task does about them."""

from __future__ import annotations

import json
from datetime import timedelta

import httpx
import pytest

from builders import NOON
from sdfleet.domain.interruption import INTERRUPTION_MARGIN, Notice, NoticeKind, can_finish, tightened, time_left
from sdfleet.errors import ServiceUnavailable
from sdfleet.memory.clock import FakeClock
from sdfleet_scheduler.drain import Drain
from sdfleet_scheduler.identity import identify
from sdfleet_scheduler.interruption_watch import InterruptionWatch
from sdfleet_scheduler.metadata import InstanceMetadata

LATE = Notice(NoticeKind.TERMINATION, NOON + timedelta(minutes=10))
SOON = Notice(NoticeKind.SPOT_INTERRUPTION, NOON + timedelta(minutes=2))


def test_a_later_notice_shortens_the_deadline() -> None:
    assert tightened(LATE, SOON) is SOON


def test_a_later_notice_never_lengthens_the_deadline() -> None:
    assert tightened(SOON, LATE) is SOON


def test_settlement_has_its_share_of_the_time_left() -> None:
    assert time_left(SOON, now=NOON) == timedelta(minutes=2) - INTERRUPTION_MARGIN


def test_no_time_is_left_after_the_deadline() -> None:
    assert time_left(SOON, now=NOON + timedelta(hours=1)) == timedelta(0)


@pytest.mark.parametrize(
    ("progress", "left_s", "expected"),
    [(0.5, 61, True), (0.5, 59, False), (0.0, 1, True), (0.0, 0, False), (1.0, 0, True)],
)
def test_a_run_goes_on_if_its_pace_fits_the_time_left(progress: float, left_s: int, expected: bool) -> None:
    elapsed = timedelta(seconds=60)
    assert can_finish(elapsed=elapsed, progress=progress, left=timedelta(seconds=left_s)) is expected


class FakeImds:
    """Answers what was posted; wants a token as IMDSv2 does."""

    def __init__(self, **values: str) -> None:
        self.values = {key.replace("__", "/").replace("_", "-"): value for key, value in values.items()}
        self.is_up = True

    def client(self) -> InstanceMetadata:
        transport = httpx.MockTransport(self._answer)
        return InstanceMetadata(httpx.AsyncClient(base_url="http://imds", transport=transport))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if not self.is_up:
            raise httpx.ConnectError("refused")
        if request.method == "PUT" and request.url.path == "/latest/api/token":
            return httpx.Response(200, text="the-token")
        if request.headers.get("X-aws-ec2-metadata-token") != "the-token":
            return httpx.Response(401)
        value = self.values.get(request.url.path.removeprefix("/latest/meta-data/"))
        return httpx.Response(404) if value is None else httpx.Response(200, text=value)


def a_watch(imds: FakeImds, drain: Drain) -> InterruptionWatch:
    return InterruptionWatch(imds.client(), drain, FakeClock(NOON), drain_timeout=timedelta(seconds=75))


async def test_a_spot_notice_begins_the_drain_with_its_own_time() -> None:
    action = json.dumps({"action": "terminate", "time": "2026-11-02T12:01:30Z"})
    drain = Drain()
    await a_watch(FakeImds(spot__instance_action=action), drain).poll()
    assert drain.notice == Notice(NoticeKind.SPOT_INTERRUPTION, NOON + timedelta(seconds=90))


async def test_a_spot_notice_that_cannot_be_read_is_still_a_notice() -> None:
    drain = Drain()
    await a_watch(FakeImds(spot__instance_action="soon"), drain).poll()
    assert drain.notice == Notice(NoticeKind.SPOT_INTERRUPTION, NOON + timedelta(seconds=120))


async def test_the_groups_decision_to_terminate_begins_the_drain() -> None:
    drain = Drain()
    await a_watch(FakeImds(autoscaling__target_lifecycle_state="Terminated"), drain).poll()
    assert drain.notice is not None
    assert drain.notice.kind is NoticeKind.TERMINATION


async def test_a_rebalance_recommendation_is_no_drain() -> None:
    drain = Drain()
    watch = a_watch(FakeImds(events__recommendations__rebalance='{"noticeTime": "2026-11-02T12:00:00Z"}'), drain)
    await watch.poll()
    assert watch.is_rebalance_recommended
    assert not drain.is_draining


async def test_nothing_posted_changes_nothing() -> None:
    drain = Drain()
    await a_watch(FakeImds(autoscaling__target_lifecycle_state="InService"), drain).poll()
    assert not drain.is_draining


async def test_a_silent_metadata_service_is_named_so() -> None:
    imds = FakeImds()
    imds.is_up = False
    with pytest.raises(ServiceUnavailable, match="metadata"):
        await a_watch(imds, Drain()).poll()


async def test_an_instance_learns_its_id_and_release_from_its_own_metadata() -> None:
    service = FakeImds(instance_id="i-1", tags__instance__sdfleet_release="1.2.3").client()
    identity = await identify(service, fallback_instance_id="laptop-1")
    assert (identity.instance_id, identity.release) == ("i-1", "1.2.3")


async def test_off_ec2_an_instance_takes_the_fallback() -> None:
    imds = FakeImds()
    imds.is_up = False
    identity = await identify(imds.client(), fallback_instance_id="laptop-1")
    assert (identity.instance_id, identity.release) == ("laptop-1", "unreleased")
