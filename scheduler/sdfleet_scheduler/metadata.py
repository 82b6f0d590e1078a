"""The instance metadata service, version 2 (EC2 User Guide, "Use IMDSv2")."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

import httpx

from sdfleet.errors import ServiceUnavailable
from sdfleet_scheduler.local_transport import LocalClient

#: Where every EC2 instance finds it.
DEFAULT_ENDPOINT = "http://169.254.169.254"
#: botocore's own variable, so that one setting moves both.
ENDPOINT_VARIABLE = "AWS_EC2_METADATA_SERVICE_ENDPOINT"
#: The longest that the service grants.
TOKEN_LIFETIME_S = 21_600
#: It answers in milliseconds; where there is none (not EC2) a start must not hang on it.
TIMEOUT_S = 2.0
#: Longer than the time between two polls.
KEEPALIVE = timedelta(seconds=10)

INSTANCE_ID = "instance-id"
RELEASE_TAG = "tags/instance/sdfleet-release"
#: `spot` or `on-demand`.
LIFE_CYCLE = "instance-life-cycle"
SPOT_ACTION = "spot/instance-action"
REBALANCE = "events/recommendations/rebalance"
TARGET_STATE = "autoscaling/target-lifecycle-state"


class InstanceMetadata:
    def __init__(self, client: httpx.AsyncClient, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._monotonic = monotonic
        self._token = ""
        #: Made once for each path and token: httpx takes as long to make one as to send it.
        self._requests: dict[str, httpx.Request] = {}
        self._token_until = 0.0

    async def identity_document(self) -> str | None:
        """What EC2 says of the instance at its launch, as JSON; None if there is none.

        Raises:
            ServiceUnavailable: the service does not answer.
        """
        return await self._read("dynamic/instance-identity/document")

    async def read(self, path: str) -> str | None:
        """The value at `/latest/meta-data/{path}`; None if there is none.

        Raises:
            ServiceUnavailable: the service does not answer.
        """
        return await self._read(f"meta-data/{path}")

    async def _read(self, path: str) -> str | None:
        try:
            answer = await self._get(path)
            if answer.status_code == httpx.codes.UNAUTHORIZED:
                self._token_until = 0.0
                answer = await self._get(path)
        except httpx.HTTPError as error:
            raise ServiceUnavailable(
                f"the instance metadata service does not answer: {type(error).__name__}"
            ) from error
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        if answer.is_error:
            raise ServiceUnavailable(f"the instance metadata service answered {answer.status_code}")
        return answer.text.strip()

    async def close(self) -> None:
        await self._client.aclose()

    async def _get(self, path: str) -> httpx.Response:
        if self._monotonic() >= self._token_until:
            token = await self._client.put(
                "/latest/api/token", headers={"X-aws-ec2-metadata-token-ttl-seconds": str(TOKEN_LIFETIME_S)}
            )
            token.raise_for_status()
            self._token = token.text
            self._requests.clear()
            self._token_until = self._monotonic() + TOKEN_LIFETIME_S / 2
        request = self._requests.get(path)
        if request is None:
            request = self._requests[path] = self._client.build_request(
                "GET", f"/latest/{path}", headers={"X-aws-ec2-metadata-token": self._token}
            )
        return await self._client.send(request)


def metadata_client(endpoint: str | None) -> httpx.AsyncClient:
    base_url = endpoint or DEFAULT_ENDPOINT
    return LocalClient(base_url, keepalive=KEEPALIVE, timeout=TIMEOUT_S)
