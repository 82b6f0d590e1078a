"""`python -m sdfleet_bench.remembering_scheduler`: the api-scheduler, with ComfyUI's history kept.

The scheduler takes each prompt out of the history, in which the benchmark reads when it ran. The request is still
made, so that it costs what it costs, but names no prompt.
"""

from __future__ import annotations

import sys
from typing import Any

import httpx

from sdfleet_scheduler.__main__ import main
from sdfleet_scheduler.runtimes import comfyui_server


async def _forget_nothing(self: comfyui_server.ComfyUiServer, *_: Any) -> None:
    await _server_client(self).post("/history", json={"delete": []})


def _server_client(server: comfyui_server.ComfyUiServer) -> httpx.AsyncClient:
    return server._client  # noqa: SLF001


if __name__ == "__main__":
    comfyui_server.ComfyUiServer.forget = _forget_nothing  # type: ignore[assignment,method-assign]
    sys.exit(main())
