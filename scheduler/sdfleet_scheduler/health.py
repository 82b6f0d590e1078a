"""Whether the runtime can take a task. While it cannot, nothing is received and nothing fails."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from sdfleet.telemetry import logs
from sdfleet_scheduler.circuit_breaker import CircuitBreaker
from sdfleet_scheduler.instruments import Instruments
from sdfleet_scheduler.runtimes.base import Runtime, ServedRuntime

log = logs.get_logger(__name__)

#: A starting WebUI answers 404 for half a second; a GPU waiting longer than this is money.
PROBE_WHEN_DOWN = timedelta(seconds=0.5)
#: An idle runtime may die between two tasks; found out before the next message is received.
PROBE_WHEN_IDLE = timedelta(seconds=5)


async def _needs_no_proof() -> bool:
    return True


class RuntimeHealth:
    def __init__(
        self,
        runtime: Runtime,
        instruments: Instruments,
        *,
        is_busy: Callable[[], bool],
        breaker: CircuitBreaker,
        has_its_files: Callable[[], bool] = lambda: True,
        prove: Callable[[], Awaitable[bool]] = _needs_no_proof,
        probe_when_down: timedelta = PROBE_WHEN_DOWN,
    ) -> None:
        """`is_busy`: whether a task is at the runtime; its own outcome tells more than a probe.

        `prove`: what a runtime that says it is ready must do before it is believed.

        `has_its_files`: whether what the server must find at its start is there.
        """
        self._runtime = runtime
        self._instruments = instruments
        self._probe_when_down = probe_when_down
        self._ready = asyncio.Event()
        self._doubted = asyncio.Event()
        self._is_busy = is_busy
        self._breaker = breaker
        self._has_its_files = has_its_files
        self._prove = prove
        self._is_paused = False

    @property
    def is_ready(self) -> bool:
        return self._ready.is_set()

    @property
    def is_withheld(self) -> bool:
        """It takes no task, and that says nothing of the server."""
        return self._is_paused or not self._has_its_files()

    @property
    def needs_restart(self) -> bool:
        """The server is known to be broken until it is started again."""
        return isinstance(self._runtime, ServedRuntime) and self._runtime.needs_restart

    async def ready(self) -> None:
        """Returns once the runtime can take a task."""
        await self._ready.wait()

    def task_succeeded(self) -> None:
        """The runtime did what the request deserved."""
        self._breaker.succeeded()

    def task_failed(self) -> None:
        """The request was good and the runtime failed it; after some in a row the instance stops receiving."""
        self._breaker.failed()
        if self._breaker.is_open:
            self.doubt()

    def doubt(self) -> None:
        """The runtime was lost under a task: nothing is received before it has been seen to work again."""
        self._set(is_ready=False)
        self._doubted.set()

    def pause(self) -> None:
        """The server is about to be restarted: nothing is received before `resume`."""
        self._is_paused = True
        self._set(is_ready=False)

    def resume(self) -> None:
        """The server is back, or will be: to be probed."""
        self._is_paused = False
        self._doubted.set()

    async def watch(self) -> None:
        """Probe for ever."""
        while True:
            self._doubted.clear()
            if not self._is_busy():
                is_ready = self._may_be_used() and await self._runtime.is_ready() and await self._prove()
                # What was said meanwhile is younger than the probe.
                self._set(is_ready=is_ready and self._may_be_used() and not self._doubted.is_set())
            interval = PROBE_WHEN_IDLE if self.is_ready else self._probe_when_down
            try:
                async with asyncio.timeout(interval.total_seconds()):
                    await self._doubted.wait()
            except TimeoutError:
                continue

    def _may_be_used(self) -> bool:
        return not self.is_withheld and not self._breaker.is_open

    def _set(self, *, is_ready: bool) -> None:
        if is_ready != self.is_ready:
            log.info("runtime.ready" if is_ready else "runtime.unready")
        self._instruments.ready.set(int(is_ready))
        if is_ready:
            self._ready.set()
        else:
            self._ready.clear()
