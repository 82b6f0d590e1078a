"""The short way for the calls that every task makes (decision 0010).

Around one HTTP request the SDK spends ten times the processor time of the request itself. A task makes nine calls, an
accepted request four. So these few operations are written, signed and read here: their requests are JSON or next to
it, and of their answers only a plain success is taken. After anything else (an error's status, a lost connection) the
SDK makes the call again its own way, and its retries, redirects, clock correction and error parsing apply. Each of
them can be made twice: reads, conditional writes that know themselves again, deletions, notices that may be doubled,
and a receive, whose lost messages come back when their visibility ends.
"""

from __future__ import annotations

import json
import os
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar
from urllib.parse import SplitResult, quote, quote_plus, urlsplit

from botocore.credentials import Credentials
from botocore.exceptions import ReadTimeoutError

from sdfleet.aws.connections import Connections, Success
from sdfleet.aws.request_signature import Signer

C = TypeVar("C")

Arguments = Mapping[str, Any]

#: Those that the SDK leaves as they are in a trace header.
_TRACE_CHARACTERS = "-=;:+&[]{}\"',"
_MESSAGE_ID = re.compile(rb"<MessageId>([^<]+)</MessageId>")
#: Every byte as a form has it.
_QUOTES = {byte: quote_plus(bytes((byte,))) for byte in range(256)}


@dataclass(frozen=True)
class _Request:
    method: str
    url: SplitResult
    #: By lower-case name, without surrounding or doubled spaces.
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class _Form:
    """One operation's request and answer."""

    #: None: these arguments are for the SDK.
    write: Callable[[Arguments], _Request | None]
    read: Callable[[Success], dict[str, Any]]


def with_direct_calls(client: C, credentials: Credentials, connections: Connections, *, user_agent: str) -> C:
    """The same `client` of boto3; from now on it makes the frequent operations of its service the short way."""
    meta: Any = getattr(client, "meta")  # noqa: B009  no protocol is common to the typed clients
    service = meta.service_model.service_name
    caller = _Caller(credentials, connections, Signer(service, meta.region_name), user_agent)
    for method, form in _FORMS[service](client).items():
        setattr(client, method, caller.directly(form, otherwise=getattr(client, method)))
    if service == "s3":
        setattr(client, "generate_presigned_url", caller.linking(client))  # noqa: B010  as above
    return client


class _Caller:
    def __init__(self, credentials: Credentials, connections: Connections, signer: Signer, user_agent: str) -> None:
        self._credentials = credentials
        self._connections = connections
        self._signer = signer
        self._user_agent = user_agent

    def directly(self, form: _Form, *, otherwise: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
        def call(**arguments: Any) -> dict[str, Any]:
            request = form.write(arguments)
            answer = None if request is None else self._answer(request)
            return otherwise(**arguments) if answer is None else form.read(answer)

        return call

    def linking(self, client: Any) -> Callable[..., str]:
        """The client's `generate_presigned_url`, those links made here that every finished task has."""
        otherwise = client.generate_presigned_url
        place = _places(client)

        def link(method: str, Params: Mapping[str, Any], ExpiresIn: int) -> str:  # noqa: N803  as the SDK has it
            if method != "get_object" or Params.keys() != {"Bucket", "Key"}:
                theirs: str = otherwise(method, Params=Params, ExpiresIn=ExpiresIn)
                return theirs
            url = urlsplit(place(Params["Bucket"]) + quote(Params["Key"], safe="/~"))
            return self._signer.link(url, credentials=self._credentials.get_frozen_credentials(), lifetime_s=ExpiresIn)

        return link

    def _answer(self, request: _Request) -> Success | None:
        """The success; None: the SDK shall make the call.

        Raises:
            ReadTimeoutError: the service does not answer; the caller has waited as long as it wants to.
        """
        signed = self._signer.signed(
            request.method,
            request.url,
            request.headers,
            request.body,
            credentials=self._credentials.get_frozen_credentials(),
        )
        lines = "".join([f"{name}: {value}\r\n" for name, value in signed.items()])
        head = (
            f"{request.method} {request.url.path or '/'} HTTP/1.1\r\n"
            f"user-agent: {self._user_agent}\r\n{_trace_line()}{lines}"
        )
        try:
            return self._connections.request(request.url, head, request.body)
        except TimeoutError as error:
            raise ReadTimeoutError(endpoint_url=request.url.geturl(), error=error) from error
        except OSError:
            return None


def _trace_line() -> str:
    """As the SDK: inside Lambda a call says what it belongs to, by which AWS stops endless circles."""
    trace_id = os.environ.get("_X_AMZN_TRACE_ID")
    if not trace_id or "AWS_LAMBDA_FUNCTION_NAME" not in os.environ:
        return ""
    return f"x-amzn-trace-id: {quote(trace_id, safe=_TRACE_CHARACTERS)}\r\n"


def _json_forms(client: Any, *methods: str) -> dict[str, _Form]:
    url = urlsplit(client.meta.endpoint_url)
    model = client.meta.service_model.metadata

    def form(operation: str) -> _Form:
        headers = {
            "content-type": f"application/x-amz-json-{model['jsonVersion']}",
            "x-amz-target": f"{model['targetPrefix']}.{operation}",
        }
        return _Form(
            write=lambda arguments: _Request("POST", url, headers, json.dumps(arguments, default=_base64).encode()),
            read=_json_answer,
        )

    return {method: form(client.meta.method_to_api_mapping[method]) for method in methods}


def _base64(value: Any) -> str:
    """DynamoDB's bytes; JSON has none."""
    if not isinstance(value, bytes):
        raise TypeError(f"{type(value).__name__} is no value of a call")
    return b64encode(value).decode()


def _json_answer(answer: Success) -> dict[str, Any]:
    if not answer.body:
        return {}
    # The hook is called for every value: only where there are bytes.
    values: dict[str, Any] = json.loads(answer.body, object_hook=_with_bytes if b'"B":' in answer.body else None)
    return values


def _with_bytes(value: dict[str, Any]) -> dict[str, Any]:
    encoded = value.get("B")
    return {"B": b64decode(encoded)} if isinstance(encoded, str) and len(value) == 1 else value


def _publish_form(client: Any) -> dict[str, _Form]:
    url = urlsplit(client.meta.endpoint_url)
    headers = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
    version = client.meta.service_model.api_version

    def write(arguments: Arguments) -> _Request | None:
        fields = {"Action": "Publish", "Version": version, **arguments}
        for number, (name, value) in enumerate(fields.pop("MessageAttributes", {}).items(), start=1):
            entry = f"MessageAttributes.entry.{number}"
            fields[f"{entry}.Name"] = name
            fields |= {f"{entry}.Value.{part}": content for part, content in value.items()}
        if not all(isinstance(value, str) for value in fields.values()):
            return None
        return _Request("POST", url, headers, "&".join(f"{name}={_quoted(fields[name])}" for name in fields).encode())

    def read(answer: Success) -> dict[str, Any]:
        found = _MESSAGE_ID.search(answer.body)
        return {"MessageId": found[1].decode()} if found else {}

    return {"publish": _Form(write, read)}


def _quoted(text: str) -> str:
    """As urllib's `quote_plus`, which takes the characters of a whole message one by one."""
    return text.encode().decode("latin-1").translate(_QUOTES)


def _places(client: Any) -> Callable[[str], str]:
    """By bucket, what its objects' addresses begin with."""
    # Which host and path a bucket has is the SDK's knowledge, and its links tell.
    linked: Callable[..., str] = client.generate_presigned_url

    @cache
    def place(bucket: str) -> str:
        link = linked("put_object", Params={"Bucket": bucket, "Key": "-"})
        return link.partition("?")[0].removesuffix("-")

    return place


def _put_object_form(client: Any) -> dict[str, _Form]:
    place = _places(client)

    def write(arguments: Arguments) -> _Request | None:
        body = arguments.get("Body")
        if arguments.keys() != {"Bucket", "Key", "Body", "ContentType"} or not isinstance(body, bytes):
            return None
        url = urlsplit(place(arguments["Bucket"]) + quote(arguments["Key"], safe="/~"))
        return _Request("PUT", url, {"content-type": arguments["ContentType"]}, body)

    return {"put_object": _Form(write, read=lambda answer: {"ETag": answer.headers.get("etag", "")})}


_FORMS: dict[str, Callable[[Any], dict[str, _Form]]] = {
    "dynamodb": lambda client: _json_forms(client, "get_item", "put_item"),
    "sqs": lambda client: _json_forms(client, "receive_message", "change_message_visibility", "delete_message"),
    "sns": _publish_form,
    "s3": _put_object_form,
}
