"""Starts ComfyUI on the model directory; the container's own arguments come last and win.

`SDFLEET_MODELS` is the model directory, `SDFLEET_PORT` where to listen. Nothing is waited for: ComfyUI sees a new file
at once (docs/models.md).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from sdfleet_scheduler.model_directories import extra_model_paths

COMFYUI = Path("/opt/runtime/ComfyUI")
_PATHS = COMFYUI / "sdfleet_model_paths.yaml"
_DEFAULT_PORT = "8188"


def command(environment: Mapping[str, str], further: Sequence[str]) -> list[str]:
    """`--listen`: the container's own address; the unit publishes it on 127.0.0.1 of the host only."""
    return [
        "main.py",
        *("--listen", "0.0.0.0", "--port", environment.get("SDFLEET_PORT", _DEFAULT_PORT)),  # noqa: S104
        *("--extra-model-paths-config", str(_PATHS)),
        # Seed 001, "Store Models": files from the bucket are read faster without mmap.
        "--disable-mmap",
        # Nodes that send prompts and pictures to paid services of others.
        "--disable-api-nodes",
        *("--disable-auto-launch", "--dont-print-server"),
        *further,
    ]


def main() -> None:
    _PATHS.write_text(extra_model_paths(Path(os.environ["SDFLEET_MODELS"])), encoding="utf-8")
    os.chdir(COMFYUI)
    # Our modules are none of the server's.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    os.execve(sys.executable, [sys.executable, *command(os.environ, sys.argv[1:])], environment)  # noqa: S606


if __name__ == "__main__":
    main()
