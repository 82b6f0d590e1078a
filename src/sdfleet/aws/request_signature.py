"""Signature version 4, for requests without a query.

Source: AWS General Reference, "Create a signed AWS API request". A test compares it with the SDK's own.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import SplitResult

_ALGORITHM = "AWS4-HMAC-SHA256"
_UNSIGNED = "UNSIGNED-PAYLOAD"
#: Proxies may change it on the way, so the SDK does not sign it either.
_NOT_SIGNED = {"user-agent"}


@dataclass(frozen=True)
class SigningCredentials:
    access_key: str
    secret_key: str = field(repr=False)
    #: Of temporary credentials.
    token: str | None = field(default=None, repr=False)


class Signer:
    def __init__(self, service: str, region: str) -> None:
        self._service = service
        self._region = region
        #: What it was derived from, and the key: a key serves for a day.
        self._key: tuple[tuple[str, str], bytes] | None = None

    def signed(
        self,
        method: str,
        url: SplitResult,
        headers: Mapping[str, str],
        body: bytes,
        *,
        credentials: SigningCredentials,
        now: datetime | None = None,
    ) -> dict[str, str]:
        """The headers to send: those given, time, token and signature."""
        stamp = f"{now or datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        sent = {name.lower(): value.strip() for name, value in headers.items()}
        sent["host"] = url.netloc
        sent["x-amz-date"] = stamp
        if credentials.token:
            sent["x-amz-security-token"] = credentials.token
        payload = self._payload(url, body)
        if self._service == "s3":
            sent["x-amz-content-sha256"] = payload
        names = sorted(sent.keys() - _NOT_SIGNED)
        lines = "".join(f"{name}:{' '.join(sent[name].split())}\n" for name in names)
        signed_names = ";".join(names)
        canonical = f"{method}\n{url.path or '/'}\n\n{lines}\n{signed_names}\n{payload}"
        scope = f"{stamp[:8]}/{self._region}/{self._service}/aws4_request"
        text = f"{_ALGORITHM}\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        key = self._key_for(stamp[:8], credentials.secret_key)
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        sent["authorization"] = (
            f"{_ALGORITHM} Credential={credentials.access_key}/{scope}, "
            f"SignedHeaders={signed_names}, Signature={signature}"
        )
        return sent

    def _payload(self, url: SplitResult, body: bytes) -> str:
        # As the SDK: TLS protects an object's bytes; hashing pictures once more is the larger part of an upload's cost.
        if self._service == "s3" and url.scheme == "https":
            return _UNSIGNED
        return hashlib.sha256(body).hexdigest()

    def _key_for(self, day: str, secret: str) -> bytes:
        cached = self._key
        if cached is not None and cached[0] == (day, secret):
            return cached[1]
        key = f"AWS4{secret}".encode()
        for part in (day, self._region, self._service, "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        self._key = ((day, secret), key)
        return key
