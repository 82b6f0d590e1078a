"""The one place where blocking calls leave the event loop.

A task makes a dozen such calls. `asyncio.to_thread` hands each result over through two futures and their locks, half
as long again in processor time as what is here (docs/adr/0010-frequent-aws-calls-beneath-the-sdk.md).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

#: A long poll, a heartbeat and a settlement of three tasks with parallel uploads, doubled. Threads start on demand.
MAX_THREADS = 32


async def offload(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a blocking function in a thread. Cancelling the caller does not stop the function."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[R] = loop.create_future()
    # What is bound to the log lines goes with it.
    call = partial(copy_context().run, function, *args, **kwargs)

    def settle() -> None:
        try:
            result = call()
        except StopIteration as error:
            # No future takes one.
            _tell(loop, _fail, outcome, RuntimeError(f"StopIteration: {error}"))
        except BaseException as error:  # noqa: BLE001  the caller's, whatever it is
            _tell(loop, _fail, outcome, error)
        else:
            _tell(loop, _succeed, outcome, result)

    _threads.run(settle)
    return await outcome


class _Threads:
    """They wait for work for as long as the process lives, and do not keep it alive."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._lock = threading.Lock()
        self._count = 0
        #: Free threads, less the jobs that none has taken yet.
        self._spare = 0

    def run(self, job: Callable[[], None]) -> None:
        with self._lock:
            self._spare -= 1
            is_short = self._spare < 0 and self._count < MAX_THREADS
            if is_short:
                self._count += 1
                self._spare += 1
        self._jobs.put(job)
        if is_short:
            threading.Thread(target=self._work, name=f"offload-{self._count}", daemon=True).start()

    def _work(self) -> None:
        while True:
            self._jobs.get()()
            with self._lock:
                self._spare += 1


_threads = _Threads()


def _tell(loop: asyncio.AbstractEventLoop, how: Callable[..., None], *what: Any) -> None:
    try:
        loop.call_soon_threadsafe(how, *what)
    except RuntimeError:
        # The loop has ended, and with it whoever waited.
        return


def _succeed(outcome: asyncio.Future[R], result: R) -> None:
    if not outcome.done():
        outcome.set_result(result)


def _fail(outcome: asyncio.Future[R], error: BaseException) -> None:
    if not outcome.done():
        outcome.set_exception(error)
