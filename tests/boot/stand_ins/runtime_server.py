"""Stands in for the WebUI on its GPU: waits as its image does, reads the model from disk, makes a picture.

Before that it tries what a stranger's code might: to reach the metadata service, and what listens on the machine.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from pathlib import Path

from boot.stand_ins.relay import relay
from images.wait_for_models import wait

_MODELS = Path(os.environ["SDFLEET_MODELS"])


def reaches(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=1.5).close()
    except OSError:
        return False
    return True


async def serve() -> None:
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sdfleet_bench.stub_model_webui", "--keep", "1"),
        *("--checkpoints", str(_MODELS / "Stable-diffusion")),
        stdout=asyncio.subprocess.PIPE,
    )
    assert server.stdout is not None
    port = int(await server.stdout.readline())
    await relay("0.0.0.0", int(os.environ["SDFLEET_PORT"]), "127.0.0.1", port)


if __name__ == "__main__":
    tried = {"metadata": reaches("169.254.169.254", 80), "machine": reaches("172.31.255.1", 8000)}
    Path("/var/lib/sdfleet/scratch/reached.json").write_text(json.dumps(tried))
    wait(os.environ)
    asyncio.run(serve())
