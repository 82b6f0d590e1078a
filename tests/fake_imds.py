"""The instance metadata service: without a socket, and as what an instance of EC2 finds in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx

from sdfleet_local import imds
from sdfleet_scheduler.metadata import InstanceMetadata


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


@dataclass
class InstanceTags(imds.InstanceMetadata):
    """Of an instance with exactly these tags."""

    tags: Mapping[str, str] = field(default_factory=dict)

    def value_at(self, path: str) -> str | None:
        if path.startswith("tags/instance/"):
            return self.tags.get(path.removeprefix("tags/instance/"))
        return super().value_at(path)
