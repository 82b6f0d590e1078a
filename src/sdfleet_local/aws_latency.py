"""Assumed times of AWS calls, added to those of an endpoint on this machine: `sqs=10,sns=20,s3=40,dynamodb=5`.

Near a region's endpoints a call takes about that long; here it takes a millisecond, which hides what waits for it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from sdfleet.errors import ConfigError

SERVICES = ("sqs", "sns", "s3", "dynamodb")
#: By service, in milliseconds: the issue's assumption, near the medians that one sees inside a region.
ASSUMED_LATENCY_MS: Mapping[str, float] = MappingProxyType({"sqs": 10.0, "sns": 20.0, "s3": 40.0, "dynamodb": 5.0})
#: Above this a call looks like one that hangs: the clients' own limit is 30 s.
MAX_LATENCY_MS = 10_000.0

#: The service in the scope of a SigV4 signature: `Credential=ID/20260101/us-east-1/sns/aws4_request`; in a presigned
#: link's query its slashes are escaped.
_SCOPE = re.compile(r"(?:/|%2F)([a-z0-9-]+)(?:/|%2F)aws4_request", re.IGNORECASE)


def read_latencies(text: str) -> dict[str, float]:
    """Milliseconds by service; services that are left out wait for nothing.

    Raises:
        ConfigError: it does not read `service=milliseconds,...`.
    """
    latencies: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        service, _, number = part.partition("=")
        try:
            milliseconds = float(number)
        except ValueError:
            milliseconds = -1.0
        if service not in SERVICES or not 0 <= milliseconds <= MAX_LATENCY_MS:
            example = write_latencies(ASSUMED_LATENCY_MS)
            raise ConfigError(f"{part!r} is no latency; write milliseconds for {', '.join(SERVICES)}, like {example}.")
        latencies[service] = milliseconds
    return latencies


def write_latencies(latencies: Mapping[str, float]) -> str:
    return ",".join(f"{service}={milliseconds:g}" for service, milliseconds in latencies.items())


def service_of(*, authorization: str, query: str) -> str | None:
    """The service that a signed request is for; None if it is not signed."""
    found = _SCOPE.search(authorization) or _SCOPE.search(query)
    return found[1].lower() if found else None


class Delayed:
    """A WSGI application behind a wait. It stands outside of every lock, so that calls wait side by side."""

    def __init__(
        self, app: WSGIApplication, latencies: Mapping[str, float], *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        """`latencies` in milliseconds, by service."""
        self._app = app
        self._latencies = latencies
        self._sleep = sleep

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        service = service_of(authorization=environ.get("HTTP_AUTHORIZATION", ""), query=environ.get("QUERY_STRING", ""))
        latency_ms = self._latencies.get(service or "", 0.0)
        if latency_ms:
            self._sleep(latency_ms / 1000)
        return self._app(environ, start_response)
