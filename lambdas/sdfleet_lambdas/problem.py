"""Errors as RFC 9457 problems."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus

from sdfleet.errors import (
    FieldError,
    InvalidRequest,
    PayloadTooLarge,
    SdfleetError,
    ServiceUnavailable,
    TaskConflict,
    TaskNotFound,
    TransitionRefused,
)
from sdfleet_lambdas.proxy import Response

MEDIA_TYPE = "application/problem+json"
#: An AWS service that throttles or fails over is back in seconds.
RETRY_AFTER_S = 2


class UnsupportedMediaType(SdfleetError):
    """The body must be JSON: send it with the header Content-Type: application/json."""


_STATUS: Mapping[type[SdfleetError], HTTPStatus] = {
    InvalidRequest: HTTPStatus.BAD_REQUEST,
    TaskNotFound: HTTPStatus.NOT_FOUND,
    TaskConflict: HTTPStatus.CONFLICT,
    TransitionRefused: HTTPStatus.CONFLICT,
    PayloadTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UnsupportedMediaType: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    ServiceUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}


def response(
    status: HTTPStatus, detail: str, *, errors: Iterable[FieldError] = (), headers: Mapping[str, str] | None = None
) -> Response:
    """A problem without a type of its own, so its title is the status phrase (RFC 9457, 4.2.1)."""
    body = {
        "type": "about:blank",
        "title": status.phrase,
        "status": int(status),
        "detail": detail,
        "errors": [{"path": error.path, "message": error.message} for error in errors],
    }
    return Response(status, body, {"Content-Type": MEDIA_TYPE, **(headers or {})})


def from_error(error: SdfleetError) -> Response | None:
    """The answer to an error that is the caller's or that will pass; None for one of ours."""
    status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), None)
    if status is None:
        return None
    if isinstance(error, InvalidRequest):
        count = len(error.errors)
        detail = f"The request has {count} {'error' if count == 1 else 'errors'}; nothing was accepted."
        return response(status, detail, errors=error.errors)
    if isinstance(error, ServiceUnavailable):
        # Its text names AWS calls, which is for the log.
        detail = "A service behind this one did not answer. Send the same request again."
        return response(status, detail, headers={"Retry-After": str(RETRY_AFTER_S)})
    return response(status, str(error))


def internal() -> Response:
    return response(HTTPStatus.INTERNAL_SERVER_ERROR, "Something went wrong on our side; it was logged.")
