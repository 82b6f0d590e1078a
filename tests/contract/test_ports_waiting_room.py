"""WaitingRoom, in memory and on DynamoDB, with two places."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from builders import NOON
from sdfleet.ports import WaitingRoom

LATER = NOON + timedelta(seconds=20)


def enter(room: WaitingRoom, token: str) -> bool:
    return room.enter(token, now=NOON, until=LATER)


def test_requests_wait_while_there_are_places(room: WaitingRoom) -> None:
    assert [enter(room, token) for token in ("a", "b", "c")] == [True, True, False]


def test_who_leaves_makes_a_place(room: WaitingRoom) -> None:
    enter(room, "a")
    enter(room, "b")
    room.leave("a")
    assert enter(room, "c")


def test_a_place_is_free_when_its_time_is_over(room: WaitingRoom) -> None:
    enter(room, "a")
    enter(room, "b")
    assert [room.enter(token, now=LATER, until=LATER + timedelta(seconds=20)) for token in "cde"] == [True, True, False]


def test_one_request_takes_one_place(room: WaitingRoom) -> None:
    assert [enter(room, token) for token in ("a", "a", "b")] == [True, True, True]
    assert enter(room, "a")
    assert not enter(room, "c")


def test_leaving_an_unknown_place_is_no_error(room: WaitingRoom) -> None:
    room.leave("a")
    enter(room, "b")
    room.leave("a")
    assert enter(room, "c")


def test_a_token_may_be_any_text(room: WaitingRoom) -> None:
    assert enter(room, "0b4d.#:-é")


def test_of_a_crowd_only_as_many_enter_as_there_are_places(room: WaitingRoom) -> None:
    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(lambda number: enter(room, f"token-{number}"), range(8))) == 2
