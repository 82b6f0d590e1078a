"""Starts the WebUI on the model directory; the container's own arguments come last and win.

`SDFLEET_MODELS` is the model directory, `SDFLEET_PORT` where to listen, `SDFLEET_WAIT_FOR` as in `wait_for_models`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from images.wait_for_models import wait
from sdfleet_scheduler.model_directories import link_into_webui, webui_arguments

WEBUI = Path("/opt/runtime/stable-diffusion-webui")
_DEFAULT_PORT = "7860"
#: Seed 001, "Store Models": files from the bucket are read faster without mmap.
SETTINGS = {"disable_mmap_load_safetensors": True}


def command(environment: Mapping[str, str], further: Sequence[str]) -> list[str]:
    """`--listen`: the container's own address; the unit publishes it on 127.0.0.1 of the host only."""
    models = Path(environment["SDFLEET_MODELS"])
    return [
        "launch.py",
        # All that it would fetch or install is in the image.
        *("--skip-prepare-environment", "--no-download-sd-model", "--do-not-download-clip"),
        # Not --nowebui: progress by task is the user interface's.
        *("--api", "--listen", "--port", environment.get("SDFLEET_PORT", _DEFAULT_PORT)),
        *("--opt-sdp-attention", "--disable-console-progressbars"),
        *webui_arguments(models),
        *further,
    ]


def write_settings(webui: Path) -> None:
    """Ours among the WebUI's own; what an image on top of this one has set stays."""
    file = webui / "config.json"
    present = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    file.write_text(json.dumps({**SETTINGS, **present}, indent=4), encoding="utf-8")


def main() -> None:
    link_into_webui(Path(os.environ["SDFLEET_MODELS"]), WEBUI)
    write_settings(WEBUI)
    wait(os.environ)
    os.chdir(WEBUI)
    # Our modules are none of the server's.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    os.execve(sys.executable, [sys.executable, *command(os.environ, sys.argv[1:])], environment)  # noqa: S606


if __name__ == "__main__":
    main()
