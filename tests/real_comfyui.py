"""A real ComfyUI for tests, which SDFLEET_COMFYUI_COMMAND starts, and workflows for it that need no model.

The command gets a port as its last argument and stays in the foreground. The server's custom nodes SdfleetSleep and
SdfleetFail (docs/real-comfyui.md) make long and failing workflows.
"""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import httpx

from running_service import eventually

COMMAND = os.environ.get("SDFLEET_COMFYUI_COMMAND", "")

#: Torch alone takes twenty seconds to import on two idle cores.
START_WITHIN_S = 300.0


class ComfyUi:
    def __init__(self, log: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = log
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([*shlex.split(COMMAND), str(self.port)], stdout=log, stderr=log)
        try:
            eventually(self._answers, within_s=START_WITHIN_S)
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(10)

    def running(self) -> int:
        return len(self._get("/queue")["queue_running"])

    def history(self) -> dict[str, Any]:
        """Every prompt that ended, by id."""
        return self._get("/history")

    def _get(self, path: str) -> dict[str, Any]:
        answer: dict[str, Any] = httpx.get(f"{self.url}{path}", timeout=30, trust_env=False).json()
        return answer

    def _answers(self) -> bool:
        assert self._process.poll() is None, "ComfyUI ended"
        try:
            return httpx.get(f"{self.url}/system_stats", timeout=5, trust_env=False).is_success
        except httpx.HTTPError:
            return False


def a_workflow(*, color: int = 255, **middle: Any) -> dict[str, Any]:
    """EmptyImage → `middle` → SaveImage."""
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 48, "batch_size": 1, "color": color}},
        "2": {**middle, "inputs": {"image": ["1", 0], **middle.get("inputs", {})}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "mine"}},
    }


def scaled(to: int) -> dict[str, Any]:
    scale = {"upscale_method": "nearest-exact", "width": to, "height": to, "crop": "disabled"}
    return {"class_type": "ImageScale", "inputs": scale}


def sleeping(seconds: float, *, color: int = 255) -> dict[str, Any]:
    """`color`: tells it from others in the server's history."""
    return a_workflow(color=color, class_type="SdfleetSleep", inputs={"seconds": seconds})


def runs_of(history: dict[str, Any], color: int) -> list[str]:
    """How each prompt of that colour ended: `success`, `error`, or the last word if it was interrupted."""
    found = [entry for entry in history.values() if entry["prompt"][2]["1"]["inputs"]["color"] == color]
    return [_end_of(entry["status"]) for entry in found]


def _end_of(status: dict[str, Any]) -> str:
    messages = [message[0] for message in status["messages"]]
    return "interrupted" if "execution_interrupted" in messages else str(status["status_str"])
