from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from sdfleet.domain import callback
from sdfleet.domain.callback import DELAYS, LONGEST_DELAY, MAX_TRIES, delay_after, parse_target, read_retry_after

NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)


def test_the_signature_is_that_of_the_standards_reference_libraries() -> None:
    # The vector of their own tests (standard-webhooks, libraries/python/tests).
    keys = callback.read_secrets("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signature = callback.signature(
        keys, event_id="msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp=1614265330, body=b'{"test": 2432232314}'
    )
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_two_secrets_sign_both_the_newest_first() -> None:
    old, new = callback.new_secret(b"o" * 32), callback.new_secret(b"n" * 32)
    both = callback.read_secrets(callback.rotated(old, new))
    alone = [
        callback.signature(callback.read_secrets(secret), event_id="msg_1", timestamp=1, body=b"{}")
        for secret in (new, old)
    ]
    assert callback.signature(both, event_id="msg_1", timestamp=1, body=b"{}") == " ".join(alone)


def test_a_second_rotation_forgets_the_oldest_secret() -> None:
    once = callback.rotated("whsec_b2xk", "whsec_bmV3")
    assert callback.rotated(once, "whsec_bmV3ZXI=") == "whsec_bmV3ZXI= whsec_bmV3"


@pytest.mark.parametrize("text", ["", "  ", "c2VjcmV0", "whsec_", "whsec_%%%", "whsec_c2VjcmV0 c2VjcmV0"])
def test_what_is_no_secret_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="webhook secret") as caught:
        callback.read_secrets(text)
    assert "c2VjcmV0" not in str(caught.value)


def test_a_secret_of_few_bytes_is_refused() -> None:
    with pytest.raises(ValueError, match="24"):
        callback.new_secret(b"x" * 23)


def test_tries_go_on_for_a_day() -> None:
    assert timedelta(hours=24) <= sum(DELAYS, timedelta()) < timedelta(hours=25)


def test_each_delay_fits_into_what_sqs_can_hide_a_message_for() -> None:
    for tries in range(1, MAX_TRIES):
        delay = delay_after(tries, event_id="msg_1")
        assert delay is not None
        assert DELAYS[tries - 1] <= delay < timedelta(hours=12)


def test_receivers_that_failed_together_are_not_asked_together() -> None:
    assert len({delay_after(5, event_id=f"msg_{number}") for number in range(20)}) > 10


def test_after_the_last_try_nothing_comes() -> None:
    assert delay_after(MAX_TRIES, event_id="msg_1") is None
    assert delay_after(MAX_TRIES + 5, event_id="msg_1", retry_after=timedelta(minutes=1)) is None


def test_a_receiver_may_ask_for_more_time_than_the_schedule_gives() -> None:
    assert delay_after(1, event_id="msg_1", retry_after=timedelta(hours=1)) == timedelta(hours=1)


def test_a_receiver_cannot_ask_for_less_time_or_for_more_than_sqs_has() -> None:
    assert delay_after(6, event_id="msg_1", retry_after=timedelta(0)) == delay_after(6, event_id="msg_1")
    assert delay_after(1, event_id="msg_1", retry_after=timedelta(days=9)) == LONGEST_DELAY


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("120", timedelta(seconds=120)),
        ("Mon, 02 Nov 2026 12:01:00 GMT", timedelta(minutes=1)),
        ("Mon, 02 Nov 2026 11:00:00 GMT", timedelta(0)),
        ("-5", None),
        ("soon", None),
        ("9" * 400, None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, expected: timedelta | None) -> None:
    assert read_retry_after(header, now=NOON) == expected


def test_an_address_is_taken_apart_for_the_connection() -> None:
    target = parse_target("https://Hooks.Example.ORG.:8443/in/1?token=secret#part")
    assert (target.host, target.port, target.path) == ("hooks.example.org", 8443, "/in/1?token=secret")
    assert target.authority == "hooks.example.org:8443"


def test_the_usual_port_is_not_written_out() -> None:
    assert parse_target("https://example.org").authority == "example.org"
    assert parse_target("https://[2606:4700::1]/").authority == "[2606:4700::1]"


@pytest.mark.parametrize("named", ["127.0.0.1", "127.0.0.1:9000"])
def test_a_host_that_the_operator_names_may_be_private_and_speak_http(named: str) -> None:
    assert parse_target("http://127.0.0.1:9000/hook", named_hosts={named}).port == 9000


def test_naming_one_port_names_no_other() -> None:
    with pytest.raises(ValueError, match="https"):
        parse_target("http://127.0.0.1:9001/hook", named_hosts={"127.0.0.1:9000"})


def test_the_id_of_an_event_is_the_same_for_every_copy_of_its_notice() -> None:
    assert callback.webhook_id("task", "run-1") == callback.webhook_id("task", "run-1")
    assert callback.webhook_id("task", "run-1") != callback.webhook_id("task", "run-2")


def test_a_shown_address_has_no_query() -> None:
    assert callback.shown_url("https://example.org/in?token=secret#x") == "https://example.org/in"
