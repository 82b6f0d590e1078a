"""`POST /v1alpha2/uploads`: a presigned PUT for inputs that do not fit into a request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus

from sdfleet.domain import names
from sdfleet.domain.wire.reader import Reader
from sdfleet_lambdas.composition import Services
from sdfleet_lambdas.json_body import read_json
from sdfleet_lambdas.proxy import Request, Response

#: ComfyUI's own limit for an upload; nothing an image runtime takes is larger.
MAX_UPLOAD_BYTES = 100 * 1024 * 1024
#: Long enough for 100 MiB over 1 Mbit/s.
UPLOAD_LIFETIME = timedelta(minutes=15)

_ACCEPTED = re.compile(r"(?:image|video|audio)/[a-z0-9][a-z0-9.+-]{0,62}|application/(?:json|octet-stream)")
_EXTENSIONS = {
    "image/jpeg": "jpg",
    "image/svg+xml": "svg",
    "image/tiff": "tiff",
    "image/x-icon": "ico",
    "video/quicktime": "mov",
    "video/x-matroska": "mkv",
    "audio/mpeg": "mp3",
    "application/octet-stream": "bin",
}
_PLAIN_SUBTYPE = re.compile(r"[a-z0-9]{1,8}")


def create(request: Request, services: Services, _parameters: Mapping[str, str]) -> Response:
    """Raises:
    InvalidRequest: with every bad field.
    """
    body = read_json(request)
    reader = Reader()
    reader.known_keys(body, ("content_type", "size_bytes"), "")
    content_type = (reader.text(body, "content_type", "content_type") or "").lower()
    if content_type and not _ACCEPTED.fullmatch(content_type):
        reader.refuse("content_type", "must be image/*, video/*, audio/*, application/json or application/octet-stream")
    size_bytes = reader.integer(body, "size_bytes", "size_bytes", low=1, high=MAX_UPLOAD_BYTES)
    if body.get("size_bytes") is None:
        reader.refuse("size_bytes", f"is missing; it must be a whole number from 1 to {MAX_UPLOAD_BYTES}")
    reader.finish()
    assert size_bytes is not None  # noqa: S101  refused above
    key = names.upload_key(services.new_id(), _extension(content_type))
    url = names.s3_url(services.deployment.inbox_bucket, key)
    upload_url = services.artifacts.upload_link(
        url, content_type=content_type, size_bytes=size_bytes, lifetime=UPLOAD_LIFETIME
    )
    return Response(
        HTTPStatus.OK,
        {
            "upload_url": upload_url,
            "method": "PUT",
            "headers": {"Content-Type": content_type, "Content-Length": str(size_bytes)},
            "url": url,
            "expires_s": int(UPLOAD_LIFETIME.total_seconds()),
        },
    )


def _extension(content_type: str) -> str:
    if content_type in _EXTENSIONS:
        return _EXTENSIONS[content_type]
    subtype = content_type.partition("/")[2]
    return subtype if _PLAIN_SUBTYPE.fullmatch(subtype) else "bin"
