"""Work that a cancellation must not cut short."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any


async def completed(work: Coroutine[Any, Any, None]) -> None:
    """Run `work` to its end, whatever is cancelled meanwhile.

    Only for bounded work inside an `except CancelledError` (or a `finally`) that goes on raising: a second
    cancellation is swallowed here, because the first is already on its way.
    """
    task = asyncio.create_task(work)
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.shield(task)
    task.result()
