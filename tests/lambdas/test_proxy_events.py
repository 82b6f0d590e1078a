from __future__ import annotations

import json

import pytest

from sdfleet_lambdas import proxy
from sdfleet_lambdas.proxy import Response
from service_harness import EVENTS, Harness, an_event


def test_a_recorded_request_is_answered() -> None:
    answer = Harness().send(json.loads((EVENTS / "api_proxy_post.json").read_text()))
    assert answer.status == 200
    assert answer.body["id_task"] == "test-t2i"


def test_headers_are_found_in_any_case() -> None:
    request = proxy.read(an_event("GET", "/", headers={"X-Thing": "a"}))
    assert request.header("x-thing") == request.header("X-THING") == "a"


def test_headers_may_come_as_lists_only() -> None:
    request = proxy.read(an_event("GET", "/", headers=None, multiValueHeaders={"X-Thing": ["a", "b"], "None": None}))
    assert request.header("x-thing") == "a, b"
    assert request.header("none") is None


def test_headers_without_a_value_are_not_there() -> None:
    assert proxy.read(an_event("GET", "/", headers={"X-Thing": None})).header("x-thing") is None


def test_an_event_with_next_to_nothing_in_it_is_a_request() -> None:
    assert Harness().send({}).status == 404


@pytest.mark.parametrize(
    ("whole", "path", "base"),
    [
        ("/prod/v1alpha2", "/v1alpha2", "/prod"),
        ("/v1alpha2", "/v1alpha2", ""),
        ("/v1alpha2/", "/v1alpha2/", ""),
        ("", "/v1alpha2", ""),
        ("/elsewhere", "/v1alpha2", ""),
    ],
)
def test_what_stands_before_the_path_is_the_base(whole: str, path: str, base: str) -> None:
    event = an_event("GET", path, requestContext={"path": whole})
    assert proxy.read(event).base_path == base


def test_a_response_is_what_api_gateway_takes() -> None:
    event = Response(200, {"a": "ü"}).to_event()
    assert event == {
        "statusCode": 200,
        "headers": {"Content-Type": "application/json", "Cache-Control": "no-store"},
        "body": '{"a":"\\u00fc"}',
        "isBase64Encoded": False,
    }
