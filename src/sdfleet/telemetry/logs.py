"""JSON log lines: an event name and fields. Never a prompt, a link's query, a key or a secret.

::

    log = logs.get_logger(__name__)
    log.info("task.requeued", reason="spot", remaining_s=37)
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TextIO

_bound: ContextVar[dict[str, Any]] = ContextVar("sdfleet_log_fields", default={})  # noqa: B039  never mutated
_FIELDS = "sdfleet_fields"


class Logger:
    """Writes events through the standard library's logging, so that its levels and handlers apply."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def debug(self, event: str, **fields: Any) -> None:
        self._log(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: Any) -> None:
        """A change of state."""
        self._log(logging.INFO, event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Needs a look."""
        self._log(logging.WARNING, event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """Needs a person."""
        self._log(logging.ERROR, event, fields)

    def exception(self, event: str, **fields: Any) -> None:
        """An error with where it came from. The exception's own text is left out: it may quote a request."""
        self._log(logging.ERROR, event, {**fields, "traceback": _frames()})

    def _log(self, level: int, event: str, fields: dict[str, Any]) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, event, extra={_FIELDS: {**_bound.get(), **fields}})


def get_logger(name: str) -> Logger:
    return Logger(logging.getLogger(name))


@contextmanager
def bound(**fields: Any) -> Iterator[None]:
    """Adds `fields` to every event inside the block, in this task and the ones it starts."""
    token = _bound.set({**_bound.get(), **fields})
    try:
        yield
    finally:
        _bound.reset(token)


def bind(**fields: Any) -> None:
    """Adds `fields` to every later event of this context: once, at a process's start."""
    _bound.set({**_bound.get(), **fields})


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "event": record.getMessage(),
        }
        fields = getattr(record, _FIELDS, None)
        # Our events have names of their own; the text of a library's line does not say whose it is.
        line.update({"logger": record.name} if fields is None else fields)
        return json.dumps(line, default=str, separators=(",", ":"))


def configure(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send everything to `stream` (standard output) as JSON lines. Called once, by a process's main."""
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # They log whole URLs, presigned ones included, at INFO and DEBUG.
    for chatty in ("httpx", "httpcore", "botocore", "boto3", "urllib3", "websockets", "s3transfer", "uvicorn.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _frames() -> list[str]:
    error = sys.exc_info()[1]
    frames: list[str] = []
    while error is not None:
        frames.append(type(error).__qualname__)
        trace = traceback.extract_tb(error.__traceback__)
        frames += [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in trace]
        error = error.__cause__
    return frames
