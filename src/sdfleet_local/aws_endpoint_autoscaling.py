"""In front of moto: Auto Scaling's calls are passed on to the supervisor, which has the groups and their instances.

All of them: moto's own groups have no instances of ours, and would say yes to what does not happen.
"""

from __future__ import annotations

import http.client
from collections.abc import Iterable
from http import HTTPStatus
from urllib.parse import urlsplit
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

#: The supervisor may be probing busy instances, a second each, with the group held.
_TIMEOUT_S = 20.0
#: The longest call, a refresh with a mixed policy of forty types, is a fraction of it.
_MAX_BODY_BYTES = 64 * 1024


class AutoScalingFront:
    def __init__(self, app: WSGIApplication, supervisor_url: str) -> None:
        self._app = app
        self._address = urlsplit(supervisor_url).netloc

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        size = environ.get("CONTENT_LENGTH", "")
        authorization = environ.get("HTTP_AUTHORIZATION", "")
        if not is_autoscaling(authorization) or not size.isdigit() or int(size) > _MAX_BODY_BYTES:
            return self._app(environ, start_response)
        status, answer = self._pass_on(environ["wsgi.input"].read(int(size)), authorization)
        reason = HTTPStatus(status).phrase
        start_response(f"{status} {reason}", [("Content-Type", "text/xml"), ("Content-Length", str(len(answer)))])
        return [answer]

    def _pass_on(self, body: bytes, authorization: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self._address, timeout=_TIMEOUT_S)
        try:
            connection.request("POST", "/", body, {"Authorization": authorization})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            # The SDK tries such an answer again.
            return HTTPStatus.SERVICE_UNAVAILABLE, b""
        finally:
            connection.close()


def is_autoscaling(authorization: str) -> bool:
    """Whether a request's signature is for the service."""
    return "/autoscaling/aws4_request" in authorization
