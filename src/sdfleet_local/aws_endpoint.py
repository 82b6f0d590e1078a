"""The embedded AWS endpoint: moto's server in its own process, made safe for concurrent callers.

moto's backends are not thread-safe where a fleet needs them to be: deleting one SQS message can drop another that
arrives meanwhile, and a refused DynamoDB transaction restores a copy of the tables that is older than its
neighbours' writes. So calls to one of these services take turns here. S3 is left as it is.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import socket
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import click

from sdfleet_local.aws_endpoint_autoscaling import AutoScalingFront
from sdfleet_local.aws_endpoint_objects import read_objects_as_they_are_sent
from sdfleet_local.aws_latency import Delayed, read_latencies

#: A long poll looks this often whether its client is still there and whether a visibility timeout has passed.
_POLL_SLICE_S = 0.25
#: moto knows no other limit; ours is API Gateway's, with room for the form encoding of an SNS message.
_MAX_BUFFERED_BYTES = 32 * 1024 * 1024

# A queue and the topics that feed it are one backend: publishing appends to the queue from the caller's thread.
_messaging = threading.RLock()
_tables = threading.RLock()
_client = threading.local()


class TakingTurns:
    """Runs calls to one messaging or table backend one after the other; long polls wait outside the turn."""

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        _client.connection = environ.get("werkzeug.socket")
        turn = _turn_of(environ)
        if turn is None:
            return self._app(environ, start_response)
        _read_body(environ)
        with turn:
            return self._app(environ, start_response)


def _turn_of(environ: WSGIEnvironment) -> contextlib.AbstractContextManager[Any] | None:
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    if target.startswith("DynamoDB_"):
        return _tables
    if target.startswith("AmazonSQS."):
        return None if target == "AmazonSQS.ReceiveMessage" else _messaging
    if "/sns/aws4_request" in environ.get("HTTP_AUTHORIZATION", ""):
        return _messaging
    return None


def _read_body(environ: WSGIEnvironment) -> None:
    """Read the body before the turn is taken, so that a slow sender keeps nobody waiting."""
    size = environ.get("CONTENT_LENGTH", "")
    if size.isdigit() and int(size) <= _MAX_BUFFERED_BYTES:
        environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(int(size)))


def _client_has_gone() -> bool:
    """Whether this thread's client has closed its connection: a message handed to it would wait out its visibility."""
    connection: socket.socket | None = getattr(_client, "connection", None)
    if connection is None:
        return False
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def _make_receives_take_turns() -> None:
    from moto.sqs.models import SQSBackend

    receive_now = SQSBackend.receive_message

    def receive_message(
        self: Any,
        queue_name: str,
        count: int,
        wait_seconds_timeout: int,
        visibility_timeout: int,
        message_attribute_names: list[str] | None = None,
    ) -> list[Any]:
        queue = self.get_queue(queue_name)
        end = time.monotonic() + (wait_seconds_timeout or 0)
        while True:
            if _client_has_gone():
                return []
            with _messaging:
                received: list[Any] = receive_now(
                    self, queue_name, count, 0, visibility_timeout, message_attribute_names
                )
            left = end - time.monotonic()
            if received or left <= 0:
                return received
            # Not longer in one go, for the client's sake and because nobody tells when a message is visible again.
            queue.wait_for_messages(min(_POLL_SLICE_S, left))

    SQSBackend.receive_message = receive_message  # type: ignore[method-assign]


def _spare_the_processor() -> None:
    """Three of moto's look-ups take longer than the calls that need them."""
    from moto import backends
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication
    from moto.sqs.models import SQSBackend

    # It lists its own package's directory at every request.
    modules = frozenset(backends.list_of_moto_modules())
    backends.list_of_moto_modules = lambda: modules
    # It tries some hundred patterns; there is one host a service.
    DomainDispatcherApplication.get_backend_for_host = functools.cache(  # type: ignore[method-assign]
        DomainDispatcherApplication.get_backend_for_host
    )

    def is_within_retention(self: Any, queue_name: str, message: Any) -> bool:
        # It would count all messages of the queue for this one attribute.
        queue = self.get_queue(queue_name)
        return bool(queue.message_retention_period + message.sent_timestamp / 1000 > time.time())

    SQSBackend.is_message_valid_based_on_retention_period = is_within_retention  # type: ignore[method-assign]


def serve(
    port: int, *, autoscaling_url: str | None = None, latencies_ms: Mapping[str, float] = MappingProxyType({})
) -> None:
    """Serve on loopback until the process ends.

    `autoscaling_url` is the supervisor's (`autoscaling_api`), `latencies_ms` what the calls of a service take
    (`aws_latency`).
    """
    # A web page in the user's browser has no business with the endpoint: it takes any credentials.
    os.environ.setdefault("MOTO_DISABLE_GLOBAL_CORS", "true")
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    class QuietRequestHandler(MotoRequestHandler):
        def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002  werkzeug's own name
            """A line a request would be thousands a minute."""

    _make_receives_take_turns()
    _spare_the_processor()
    read_objects_as_they_are_sent()
    # Whoever gets a turn has to get the interpreter too, and the default lets another thread keep it for 5 ms.
    sys.setswitchinterval(0.0005)
    app: WSGIApplication = TakingTurns(DomainDispatcherApplication(create_backend_app))
    if autoscaling_url is not None:
        app = AutoScalingFront(app, autoscaling_url)
    if latencies_ms:
        app = Delayed(app, latencies_ms)
    make_server("127.0.0.1", port, app, threaded=True, request_handler=QuietRequestHandler).serve_forever()


@click.command()
@click.option("--port", type=int, required=True)
@click.option("--autoscaling-url")
@click.option("--latency-ms", default="")
def main(port: int, autoscaling_url: str | None, latency_ms: str) -> None:
    serve(port, autoscaling_url=autoscaling_url, latencies_ms=read_latencies(latency_ms))


if __name__ == "__main__":
    main()
