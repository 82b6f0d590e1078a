"""ComfyUI's HTTP interface, as far as the adapter uses it. One prompt is addressed at a time, by its id."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any

import httpx

from sdfleet.domain.task import JsonObject
from sdfleet.errors import SdfleetError
from sdfleet_scheduler.local_transport import LocalClient
from sdfleet_scheduler.runtimes.connection import KEEPALIVE

#: Requests took a second while a model was loading; a swapping machine takes longer. The hang watchdog is elsewhere.
REQUEST_TIMEOUT_S = 60.0
#: A server on the same machine accepts at once or is not there.
CONNECT_TIMEOUT_S = 10.0


def json_object(response: httpx.Response) -> JsonObject | None:
    """None if the body is anything else."""
    try:
        body: Any = response.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


class ServerUnreachable(SdfleetError):
    """ComfyUI did not answer as it should."""

    def __init__(self, message: str, *, is_refused: bool = False) -> None:
        #: Nobody listens at its port: the process is gone, or not there yet.
        self.is_refused = is_refused
        super().__init__(message)


class Place(StrEnum):
    RUNNING = "running"
    PENDING = "pending"
    #: Ended, withdrawn, or lost with its server.
    NOWHERE = "nowhere"


def comfyui_client(base_url: str) -> httpx.AsyncClient:
    timeout = httpx.Timeout(REQUEST_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
    return LocalClient(base_url, keepalive=KEEPALIVE, timeout=timeout)


class ComfyUiServer:
    """Every call raises `ServerUnreachable` when there is no proper answer."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    def websocket_url(self, client_id: str) -> str:
        base = self._client.base_url
        scheme = "wss" if base.scheme == "https" else "ws"
        return str(
            base.copy_with(scheme=scheme, path=f"{base.path.rstrip('/')}/ws", query=f"clientId={client_id}".encode())
        )

    async def is_answering(self) -> bool:
        try:
            await self._get("/prompt")
        except ServerUnreachable:
            return False
        return True

    async def submit(self, graph: JsonObject, *, prompt_id: str, client_id: str) -> httpx.Response:
        """Whatever status the server gives; never repeated, because a reused prompt id runs again."""
        # Not httpx's own JSON: it cannot encode the half characters that a prompt may hold.
        body = json.dumps({"prompt": graph, "prompt_id": prompt_id, "client_id": client_id})
        return await self._send("POST", "/prompt", content=body, headers={"Content-Type": "application/json"})

    async def places(self) -> dict[str, Place]:
        """Of every prompt in its queue, whoever sent it, by id."""
        queue = await self._get("/queue")
        keys = (("queue_pending", Place.PENDING), ("queue_running", Place.RUNNING))
        return {entry[1]: place for key, place in keys for entry in queue.get(key, [])}

    async def place_of(self, prompt_id: str) -> Place:
        return (await self.places()).get(prompt_id, Place.NOWHERE)

    async def history(self, prompt_id: str) -> JsonObject | None:
        """None until the prompt has ended."""
        entry: JsonObject | None = (await self._get(f"/history/{prompt_id}")).get(prompt_id)
        return entry

    async def forget(self, prompt_ids: list[str]) -> None:
        """Take prompts out of the history."""
        await self._send("POST", "/history", json={"delete": prompt_ids})

    async def withdraw(self, prompt_id: str) -> None:
        await self._send("POST", "/queue", json={"delete": [prompt_id]})

    async def interrupt(self, prompt_id: str) -> None:
        """Stops this prompt if it is the running one. (An empty body would stop whatever runs.)"""
        await self._send("POST", "/interrupt", json={"prompt_id": prompt_id})

    async def drop_caches(self) -> None:
        """Forget node results, so that the next prompt runs in full; models stay in memory."""
        await self._send("POST", "/free", json={"free_memory": True, "unload_models": False})

    async def free_memory(self) -> None:
        """Unload every model and forget node results: at once when idle, else after the running prompt."""
        await self._send("POST", "/free", json={"unload_models": True, "free_memory": True})

    async def memory_used(self) -> int | None:
        """Main memory of its machine that is not free, in bytes: ComfyUI does not tell its own share."""
        system: Any = (await self._get("/system_stats")).get("system")
        try:
            return int(system["ram_total"]) - int(system["ram_free"])
        except (KeyError, TypeError, ValueError):
            return None

    async def upload(self, name: str, data: bytes, *, content_type: str, subfolder: str) -> httpx.Response:
        """Whatever status the server gives."""
        return await self._send(
            "POST", "/upload/image", files={"image": (name, data, content_type)}, data={"subfolder": subfolder}
        )

    async def view(self, *, filename: str, subfolder: str, folder: str) -> httpx.Response:
        """Whatever status the server gives."""
        query = {"filename": filename, "subfolder": subfolder, "type": folder}
        return await self._send("GET", "/view", params=query)

    async def embeddings(self) -> set[str] | None:
        """Those it has, by path without suffix; None from a server that does not tell."""
        response = await self._send("GET", "/embeddings")
        try:
            names = response.json() if response.status_code == httpx.codes.OK else None
        except ValueError:
            return None
        return {str(name).replace("\\", "/") for name in names} if isinstance(names, list) else None

    async def close(self) -> None:
        await self._client.aclose()

    async def _get(self, path: str) -> JsonObject:
        response = await self._send("GET", path)
        if response.status_code != httpx.codes.OK:
            raise ServerUnreachable(f"ComfyUI answered GET {path} with status {response.status_code}.")
        body = json_object(response)
        if body is None:
            raise ServerUnreachable(f"ComfyUI answered GET {path} with something that is no JSON object.")
        return body

    async def _send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            return await self._client.request(method, path, **arguments)
        except httpx.ConnectError:
            raise ServerUnreachable("Nobody answers at ComfyUI's address.", is_refused=True) from None
        except httpx.TransportError as error:
            raise ServerUnreachable(f"ComfyUI did not answer {method} {path} ({type(error).__name__}).") from error
