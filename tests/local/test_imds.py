from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import httpx
import pytest

from sdfleet_local.imds import InstanceMetadata, MetadataListener

PREFIX = "/latest/meta-data/"


@pytest.fixture
def listener() -> Iterator[MetadataListener]:
    listener = MetadataListener(InstanceMetadata("i-1", "1.0.0", "us-east-1a", "us-east-1"))
    yield listener
    listener.close()


@contextmanager
def a_client(listener: MetadataListener) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=listener.url, trust_env=False) as client:
        token = client.put("/latest/api/token", headers={"X-aws-ec2-metadata-token-ttl-seconds": "60"})
        client.headers["X-aws-ec2-metadata-token"] = token.text
        yield client


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("instance-id", "i-1"),
        ("tags/instance/sdfleet-release", "1.0.0"),
        ("placement/availability-zone", "us-east-1a"),
        ("instance-life-cycle", "spot"),
        ("autoscaling/target-lifecycle-state", "InService"),
    ],
)
def test_an_instance_learns_who_it_is(listener: MetadataListener, path: str, value: str) -> None:
    with a_client(listener) as client:
        assert client.get(PREFIX + path).text == value


@pytest.mark.parametrize("path", ["spot/instance-action", "events/recommendations/rebalance", "nothing"])
def test_what_is_not_posted_is_not_there(listener: MetadataListener, path: str) -> None:
    with a_client(listener) as client:
        assert client.get(PREFIX + path).status_code == 404


def test_a_spot_notice_is_there_once_it_is_posted(listener: MetadataListener) -> None:
    listener.metadata.interruption_at = datetime(2026, 11, 2, 12, 2, tzinfo=UTC)
    with a_client(listener) as client:
        notice = json.loads(client.get(PREFIX + "spot/instance-action").text)
    assert notice == {"action": "terminate", "time": "2026-11-02T12:02:00Z"}


def test_without_a_token_nothing_is_told(listener: MetadataListener) -> None:
    assert httpx.get(listener.url + PREFIX + "instance-id", trust_env=False).status_code == 401


@pytest.mark.parametrize("headers", [{}, {"X-aws-ec2-metadata-token-ttl-seconds": "0"}])
def test_a_token_needs_a_lifetime(listener: MetadataListener, headers: dict[str, str]) -> None:
    answer = httpx.put(listener.url + "/latest/api/token", headers=headers, trust_env=False)
    assert answer.status_code == 400


def test_a_closed_listener_frees_its_port() -> None:
    listener = MetadataListener(InstanceMetadata("i-1", "1.0.0", "us-east-1a", "us-east-1"))
    listener.close()
    with pytest.raises(httpx.ConnectError):
        httpx.get(listener.url, trust_env=False)
