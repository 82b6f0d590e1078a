"""The JSON object in a request's body."""

from __future__ import annotations

import re

from sdfleet.domain.task import JsonObject
from sdfleet.domain.wire.reader import parse_object
from sdfleet.errors import PayloadTooLarge
from sdfleet_lambdas.problem import UnsupportedMediaType
from sdfleet_lambdas.proxy import Request

#: Lambda's event holds 6 MB with the body escaped (wire contract, Limits).
MAX_BODY_BYTES = 4 * 1024 * 1024

_JSON = re.compile(r"application/(?:[\w.!#$&^-]+\+)?json", re.IGNORECASE)
#: JSON is UTF-8 (RFC 8259, 8.1); ASCII is a part of it.
_CHARSETS = {"utf-8", "utf8", "us-ascii"}


def read_json(request: Request) -> JsonObject:
    """Raises:
    UnsupportedMediaType: the body does not call itself JSON.
    PayloadTooLarge: it has more than `MAX_BODY_BYTES`.
    InvalidRequest: it is no JSON object.
    """
    if request.body and not _is_json(request.header("content-type") or ""):
        raise UnsupportedMediaType
    if len(request.body) > MAX_BODY_BYTES:
        raise PayloadTooLarge
    return parse_object(request.body)


def _is_json(content_type: str) -> bool:
    media_type, *parameters = (part.strip() for part in content_type.split(";"))
    charsets = {
        value.strip().strip('"').lower()
        for name, _, value in (parameter.partition("=") for parameter in parameters)
        if name.strip().lower() == "charset"
    }
    return _JSON.fullmatch(media_type) is not None and charsets <= _CHARSETS
