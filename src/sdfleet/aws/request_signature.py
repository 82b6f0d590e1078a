"""Signature version 4, in a request's headers or in a link.

Source: AWS General Reference, "Create a signed AWS API request"; Amazon S3 API Reference, "Authenticating Requests:
Using Query Parameters". Tests compare both with the SDK's own.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import SplitResult, quote

from botocore.credentials import ReadOnlyCredentials

_ALGORITHM = "AWS4-HMAC-SHA256"


class Signer:
    """For the requests of one service in one region, those without a query."""

    def __init__(self, service: str, region: str) -> None:
        self._service = service
        self._region = region
        #: What it was derived from, and the key: a key serves for a day.
        self._key: tuple[tuple[str, str | None], bytes] = (("", None), b"")

    def signed(
        self,
        method: str,
        url: SplitResult,
        headers: Mapping[str, str],
        body: bytes,
        *,
        credentials: ReadOnlyCredentials,
        now: datetime | None = None,
    ) -> dict[str, str]:
        """The headers to send: those given (by lower-case name), host, time, token and signature."""
        stamp = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
        payload = hashlib.sha256(body).hexdigest()
        sent = {**headers, "host": url.netloc, "x-amz-date": stamp}
        if credentials.token:
            sent["x-amz-security-token"] = credentials.token
        if self._service == "s3":
            sent["x-amz-content-sha256"] = payload
        names = sorted(sent)
        lines = "".join([f"{name}:{sent[name]}\n" for name in names])
        signed_names = ";".join(names)
        scope = self._scope(stamp)
        canonical = f"{method}\n{url.path or '/'}\n\n{lines}\n{signed_names}\n{payload}"
        sent["authorization"] = (
            f"{_ALGORITHM} Credential={credentials.access_key}/{scope}, "
            f"SignedHeaders={signed_names}, Signature={self._signature(canonical, stamp, scope, credentials)}"
        )
        return sent

    def link(
        self, url: SplitResult, *, credentials: ReadOnlyCredentials, lifetime_s: int, now: datetime | None = None
    ) -> str:
        """`url` for whoever has it: one GET of S3's, for so long, and no longer than the credentials live."""
        stamp = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
        scope = self._scope(stamp)
        fields = {
            "X-Amz-Algorithm": _ALGORITHM,
            "X-Amz-Credential": f"{credentials.access_key}/{scope}",
            "X-Amz-Date": stamp,
            "X-Amz-Expires": str(lifetime_s),
            # In the order of their names, as they are signed.
            **({"X-Amz-Security-Token": credentials.token} if credentials.token else {}),
            "X-Amz-SignedHeaders": "host",
        }
        query = "&".join([f"{name}={quote(value, safe='')}" for name, value in fields.items()])
        canonical = f"GET\n{url.path}\n{query}\nhost:{url.netloc}\n\nhost\nUNSIGNED-PAYLOAD"
        signature = self._signature(canonical, stamp, scope, credentials)
        return f"{url.scheme}://{url.netloc}{url.path}?{query}&X-Amz-Signature={signature}"

    def _scope(self, stamp: str) -> str:
        return f"{stamp[:8]}/{self._region}/{self._service}/aws4_request"

    def _signature(self, canonical: str, stamp: str, scope: str, credentials: ReadOnlyCredentials) -> str:
        text = f"{_ALGORITHM}\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        return hmac.digest(self._key_of(stamp[:8], credentials.secret_key), text.encode(), "sha256").hex()

    def _key_of(self, day: str, secret: str | None) -> bytes:
        origin, key = self._key
        if origin != (day, secret):
            key = f"AWS4{secret}".encode()
            for part in (day, self._region, self._service, "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._key = ((day, secret), key)
        return key
