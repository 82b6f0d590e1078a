"""One real ComfyUI beside one instance, as a process that the storm may kill, stop and wedge."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import uuid
from pathlib import Path
from typing import Any

import httpx

#: A server on the same machine; one that has been stopped answers never.
_ANSWER_WITHIN_S = 2.0
_KILL_PATIENCE_S = 10.0
#: A node without `inputs` on a dead branch: ComfyUI's execution thread dies of it, while HTTP goes on answering.
_WEDGE = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": 0}},
    "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    "3": {"class_type": "EmptyImage"},
}


class ComfyUiProcess:
    def __init__(self, command: str, port: int, log_file: Path) -> None:
        """`command`, in words without a shell, gets the port as its last argument and stays in the foreground."""
        self._words = [*shlex.split(command), str(port)]
        self._log_file = log_file
        self._process: subprocess.Popen[bytes] | None = None
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=_ANSWER_WITHIN_S, trust_env=False)
        #: It has answered since its start.
        self.is_up = False
        self.is_stopped = False

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Raises:
        OSError: there is no such command.
        """
        with self._log_file.open("ab") as log:
            # A session of its own: the command may be a script that does not exec, and ends as a whole.
            self._process = subprocess.Popen(  # noqa: S603
                self._words, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        self.is_up = self.is_stopped = False

    def kill(self) -> None:
        """kill -9; returns when it is gone."""
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait(_KILL_PATIENCE_S)
        self.is_up = self.is_stopped = False

    def stop(self) -> None:
        """SIGSTOP: it takes connections and answers none."""
        self.is_stopped = self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)
        self.is_stopped = False

    def wedge(self) -> bool:
        """Past the scheduler, which would refuse the workflow. False if the server did not take it."""
        body = {"prompt": _WEDGE, "prompt_id": str(uuid.uuid4()), "client_id": "storm"}
        try:
            return self._http.post("/prompt", json=body).is_success
        except httpx.HTTPError:
            return False

    def running(self) -> dict[str, Any] | None:
        """The workflows at work, by prompt id; None if it does not answer."""
        queue = self._get("/queue")
        if queue is None:
            return None
        self.is_up = True
        return {entry[1]: entry[2] for entry in queue.get("queue_running", ())}

    def has_succeeded(self, prompt_id: str) -> bool:
        """False also if it is not in the history any more."""
        entry = (self._get(f"/history/{prompt_id}") or {}).get(prompt_id) or {}
        return bool((entry.get("status") or {}).get("status_str") == "success")

    def close(self) -> None:
        if self.is_running:
            self.kill()
        self._http.close()

    def _get(self, path: str) -> dict[str, Any] | None:
        try:
            found = self._http.get(path).json()
        except (httpx.HTTPError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def _signal(self, number: signal.Signals) -> bool:
        # Not reaped yet, so the id is still its own.
        if self._process is None or self._process.poll() is not None:
            return False
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return False
        return True
