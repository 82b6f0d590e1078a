"""The short way for the calls that every task makes.

Around one HTTP request the SDK spends several times the processor time of the request itself: on rebuilding its user
agent, retry bookkeeping, a signature and answers of every shape (docs/benchmarks.md has the figures). A task makes nine
calls, an accepted request five. So these few operations are sent from the SDK's own hook, `before-call`: the SDK has
serialized them and found their endpoint, and their answers are JSON or next to nothing.

Only a plain success is taken from here. After anything else (an error's status, a lost connection) the SDK makes the
call again its own way, and its retries, redirects, clock correction and error parsing apply.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException
from io import BytesIO
from typing import Any
from urllib.parse import urlencode, urlsplit

from botocore.credentials import Credentials
from botocore.exceptions import ReadTimeoutError

from sdfleet.aws.connections import Connections
from sdfleet.aws.request_signature import Signer, SigningCredentials

_MESSAGE_ID = re.compile(rb"<MessageId>([^<]+)</MessageId>")


@dataclass(frozen=True)
class _Success:
    """What the SDK asks of an answer from here on."""

    status_code: int = HTTPStatus.OK


Answer = tuple[_Success, dict[str, Any]]


class DirectCalls:
    """Makes the frequent calls of one client."""

    def __init__(self, client: Any, credentials: Credentials, connections: Connections) -> None:
        """`client`: of boto3, for one of the services below."""
        service = client.meta.service_model.service_name
        self._credentials = credentials
        self._connections = connections
        self._signer = Signer(service, client.meta.region_name)
        operations, self._read = _SERVICES[service]
        for operation in operations:
            client.meta.events.register(f"before-call.{service}.{operation}", self._call)

    def _call(self, params: Mapping[str, Any], **_: Any) -> Answer | None:
        """The success; None: the SDK shall make the call.

        Raises:
            ReadTimeoutError: the service does not answer; the caller has waited as long as it wants to.
        """
        url = urlsplit(params["url"])
        body = _bytes(params["body"])
        credentials = self._credentials.get_frozen_credentials()
        if body is None or url.query or not credentials.access_key or not credentials.secret_key:
            return None
        headers = self._signer.signed(
            params["method"],
            url,
            {name: value if isinstance(value, str) else value.decode() for name, value in params["headers"].items()},
            body,
            credentials=SigningCredentials(credentials.access_key, credentials.secret_key, credentials.token),
        )
        try:
            status, answered, content = self._connections.request(url, params["method"], headers, body)
        except TimeoutError as error:
            raise ReadTimeoutError(endpoint_url=params["url"], error=error) from error
        except (OSError, HTTPException):
            return None
        return (_Success(), self._read(content, answered)) if status == HTTPStatus.OK else None


def _bytes(body: Any) -> bytes | None:
    """None: a body that is read as it is sent, which cannot be sent twice."""
    if isinstance(body, dict):
        return urlencode(body, doseq=True).encode()
    if isinstance(body, str):
        return body.encode()
    if isinstance(body, BytesIO):
        return body.getvalue()
    return body if isinstance(body, bytes) else None


def _json(content: bytes, _: Mapping[str, str]) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(content) if content else {}
    return answer


def _published(content: bytes, _: Mapping[str, str]) -> dict[str, Any]:
    found = _MESSAGE_ID.search(content)
    return {"MessageId": found[1].decode()} if found else {}


def _stored(_: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
    return {"ETag": headers.get("etag", "")}


#: The operations whose success is read here, and how.
_SERVICES: dict[str, tuple[tuple[str, ...], Callable[[bytes, Mapping[str, str]], dict[str, Any]]]] = {
    "dynamodb": (("GetItem", "PutItem"), _json),
    "sqs": (("ReceiveMessage", "ChangeMessageVisibility", "DeleteMessage"), _json),
    "sns": (("Publish",), _published),
    "s3": (("PutObject",), _stored),
}
