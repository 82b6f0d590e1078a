"""The one place where blocking calls leave the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

#: A long poll, a heartbeat and a settlement of three tasks with parallel uploads, doubled. Threads start on demand.
MAX_THREADS = 32


async def offload(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a blocking function in a thread. Cancelling the caller does not stop the function."""
    return await asyncio.to_thread(function, *args, **kwargs)


def use_thread_pool(loop: asyncio.AbstractEventLoop) -> None:
    """Give `loop` a pool fit for blocking AWS calls; the default has six threads on two cores."""
    loop.set_default_executor(ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="offload"))
