"""Callbacks: where they may go, how they are signed, when they are tried again.

Signature and headers: Standard Webhooks (standardwebhooks.com), version `v1`: HMAC-SHA256 over `id.timestamp.body`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from sdfleet.domain.addresses import is_literal, is_named, is_public

#: What browsers and proxies agree on.
MAX_URL_LENGTH = 2048
#: Below a Lambda's time limit, above any receiver that only puts the notice aside: connection, answer and all.
POST_TIMEOUT = timedelta(seconds=10)
#: The delivering function's: a batch is posted side by side, so two posts long and room for the secret.
FUNCTION_TIMEOUT = timedelta(seconds=30)
#: The callback queue's: six times the function's timeout (Lambda Developer Guide, "Configuring a queue").
QUEUE_VISIBILITY = timedelta(seconds=180)

#: After the first, second, ... failed try: a day in all. Each is below the 12 hours for which SQS can hide a message.
DELAYS = (
    timedelta(seconds=5),
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(minutes=30),
    timedelta(hours=1),
    timedelta(hours=2),
    timedelta(hours=4),
    timedelta(hours=6),
    timedelta(hours=10, minutes=8),
)
#: Tries in all, and the callback queue's `maxReceiveCount`: the failed last one leaves the message to the dead-letter
#: queue.
MAX_TRIES = len(DELAYS) + 1
#: What a receiver's Retry-After may ask for.
LONGEST_DELAY = timedelta(hours=11)
#: Of a delay, added: receivers that were down together are not asked together.
_JITTER = 0.1

_WHSEC = "whsec_"
_DEFAULT_PORTS = {"http": 80, "https": 443}
_MAX_PORT = 65535


@dataclass(frozen=True)
class Target:
    """Where a callback goes, in the parts that a connection needs."""

    scheme: str
    #: As resolvers and certificates know it: lower case, no brackets, without the root's dot.
    host: str
    port: int
    #: Path and query. May hold the receiver's secrets: not for logs.
    path: str

    @property
    def authority(self) -> str:
        """The `Host` header; also what a log may say of the target."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def parse_target(url: str, *, named_hosts: Collection[str] = ()) -> Target:
    """`named_hosts` (`host` or `host:port`): the operator's own, which need not be public nor speak https.

    Raises:
        ValueError: in words for the caller.
    """
    if len(url) > MAX_URL_LENGTH:
        raise ValueError(f"must have at most {MAX_URL_LENGTH} characters")
    if not url.isascii() or not url.isprintable() or set(" \\") & set(url):
        raise ValueError("must be a URL of printable ASCII characters; write a name in its xn-- form, escape the rest")
    try:
        parts = urlsplit(url)
        port = _DEFAULT_PORTS.get(parts.scheme, 0) if parts.port is None else parts.port
    except ValueError:
        raise ValueError("is no valid URL") from None
    host = (parts.hostname or "").removesuffix(".")
    if parts.scheme not in _DEFAULT_PORTS or not host or not 0 < port <= _MAX_PORT:
        raise ValueError("must be an https:// URL")
    if "@" in parts.netloc:
        raise ValueError("must not hold a user name or password; use a token in the query, which is never logged")
    is_own = is_named(host, port, named_hosts)
    if parts.scheme != "https" and not is_own:
        raise ValueError("must be an https:// URL")
    if not is_own and (("." not in host and ":" not in host) or (is_literal(host) and not is_public(host))):
        raise ValueError("must name a public host")
    path = parts.path or "/"
    return Target(parts.scheme, host, port, f"{path}?{parts.query}" if parts.query else path)


def shown_url(url: str) -> str:
    """The URL without its query, which may hold a secret."""
    return url.partition("?")[0].partition("#")[0]


def webhook_id(*parts: str) -> str:
    """`webhook-id` of the event that `parts` name: the same at every try and for every copy of the notice."""
    return f"msg_{hashlib.sha256(chr(10).join(parts).encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


def new_secret(random_bytes: bytes) -> str:
    """Raises:
    ValueError: fewer than 24 bytes are too few (Standard Webhooks, "Signature scheme").
    """
    if len(random_bytes) < 24:
        raise ValueError("a webhook secret needs 24 random bytes or more")
    return _WHSEC + base64.b64encode(random_bytes).decode()


def rotated(secrets: str, new: str) -> str:
    """`new` before the secret that was the newest: both sign until the receivers know the new one."""
    return " ".join((new, *secrets.split()[:1]))


def read_secrets(text: str) -> tuple[bytes, ...]:
    """The keys of one or more `whsec_...`, separated by spaces, the newest first.

    Raises:
        ValueError: there is none, or one is no such secret. The message does not repeat it.
    """
    keys = []
    for secret in text.split():
        try:
            key = base64.b64decode(secret.removeprefix(_WHSEC), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if not key or not secret.startswith(_WHSEC):
            raise ValueError("a webhook secret must be whsec_ and base64")
        keys.append(key)
    if not keys:
        raise ValueError("there is no webhook secret")
    return tuple(keys)


def signature(keys: Sequence[bytes], *, event_id: str, timestamp: int, body: bytes) -> str:
    """The header `webhook-signature`: one `v1,...` a key, so that receivers accept both while a secret is changed."""
    signed = f"{event_id}.{timestamp}.".encode() + body
    digests = (hmac.new(key, signed, hashlib.sha256).digest() for key in keys)
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)


def signed_headers(keys: Sequence[bytes], *, event_id: str, body: bytes, now: datetime) -> dict[str, str]:
    timestamp = int(now.timestamp())
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(keys, event_id=event_id, timestamp=timestamp, body=body),
    }


def delay_after(tries: int, *, event_id: str, retry_after: timedelta | None = None) -> timedelta | None:
    """How long to wait after the `tries`-th failed try; None: it was the last."""
    if tries >= MAX_TRIES:
        return None
    scheduled = DELAYS[max(tries, 1) - 1]
    share = hashlib.sha256(f"{event_id}.{tries}".encode()).digest()[0] / 255
    scheduled += scheduled * (_JITTER * share)
    return scheduled if retry_after is None else max(scheduled, min(retry_after, LONGEST_DELAY))


def read_retry_after(header: str | None, *, now: datetime) -> timedelta | None:
    """Seconds or a date (RFC 9110, 10.2.3); None if it is neither."""
    text = (header or "").strip()
    # Ten digits of seconds are three centuries.
    if text.isascii() and text.isdigit() and len(text) <= 10:
        return timedelta(seconds=int(text))
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(until.replace(tzinfo=until.tzinfo or UTC) - now, timedelta(0))
