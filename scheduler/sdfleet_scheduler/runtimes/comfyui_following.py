"""Follows one prompt to its end: by websocket, and by the queue and the history where the websocket says nothing."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from sdfleet.domain.task import JsonObject
from sdfleet_scheduler.runtimes.base import RuntimeFailure
from sdfleet_scheduler.runtimes.comfyui_server import ComfyUiServer, Place, ServerUnreachable
from sdfleet_scheduler.runtimes.comfyui_socket import ComfyUiSocket, PromptWatch

#: While there is no websocket.
_POLL_EVERY = timedelta(seconds=0.25)
#: From a prompt's last event to the one that says that its history is written: a millisecond, as a rule.
_ENDING_WITHIN = timedelta(seconds=0.5)
#: Should the history lag behind even that.
_ENDED_PAUSE = timedelta(seconds=0.02)


class Follower:
    def __init__(
        self, server: ComfyUiServer, socket: ComfyUiSocket, *, hang_after: timedelta, look_every: timedelta
    ) -> None:
        self._server = server
        self._socket = socket
        self._hang_after = hang_after
        self._look_every = look_every

    async def follow(self, watch: PromptWatch) -> JsonObject:
        """The prompt's history entry.

        Raises:
            RuntimeFailure: lost, because the prompt is gone, its server is, or nothing has happened for too long.
        """
        entry = None
        while entry is None:
            await watch.wait(self._patience(watch))
            if watch.is_ending and not watch.has_ended:
                await watch.wait(_ENDING_WITHIN)
            entry = await self._look(watch)
        return entry

    def _patience(self, watch: PromptWatch) -> timedelta:
        if watch.has_ended:
            return _ENDED_PAUSE
        if watch.is_ending:
            return _ENDING_WITHIN
        return min(self._look_every if self._socket.is_open else _POLL_EVERY, self._hang_after)

    async def _look(self, watch: PromptWatch) -> JsonObject | None:
        try:
            # A stopped process takes connections and answers none of them.
            async with asyncio.timeout(self._hang_after.total_seconds()):
                entry = await self._entry(watch)
        except TimeoutError:
            entry = None
        except ServerUnreachable as error:
            if error.is_refused:
                raise RuntimeFailure.lost("ComfyUI's process ended while it ran this workflow.") from error
            entry = None
        if entry is None:
            self._bark(watch)
            await self._socket.open()
        return entry

    async def _entry(self, watch: PromptWatch) -> JsonObject | None:
        if watch.has_ended or watch.is_ending:
            entry = await self._server.history(watch.prompt_id)
            if entry is not None or not watch.has_ended:
                return entry
        # The queue before the history: a prompt moves from one to the other in one step.
        places = await self._server.places()
        place = places.get(watch.prompt_id, Place.NOWHERE)
        entry = await self._server.history(watch.prompt_id)
        if entry is None and place is Place.NOWHERE:
            raise RuntimeFailure.lost("ComfyUI lost this workflow: it is neither in its queue nor in its history.")
        running = (prompt_id for prompt_id, its_place in places.items() if its_place is Place.RUNNING)
        if place is Place.PENDING and any(self._socket.is_watched(prompt_id) for prompt_id in running):
            # The one before it is ours and has a watch of its own. Two that both wait must not vouch for each other:
            # the execution thread may be dead.
            watch.heard()
        return entry

    def _bark(self, watch: PromptWatch) -> None:
        if watch.silence >= self._hang_after:
            seconds = self._hang_after.total_seconds()
            raise RuntimeFailure.lost(f"ComfyUI has done nothing for this workflow for {seconds:g} s.")
