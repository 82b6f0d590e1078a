"""`python -m sdfleet_bench.stub_model_webui`: a WebUI that reads its checkpoints from disk, whole, and keeps some.

What it keeps is copied once in memory when a job needs it, which stands in for the way to a GPU.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
from http import HTTPStatus
from pathlib import Path
from typing import Any

import click
from PIL import Image

from sdfleet_bench.loopback_http import StubAnswer, StubRequest, json_answer, serve

_IDLE = {"job": "", "job_no": 0, "sampling_step": 0, "interrupted": False, "skipped": False}


class StubModelWebUi:
    def __init__(self, checkpoints: Path, keep: int) -> None:
        self._checkpoints = checkpoints
        self._keep = keep
        self._known: list[str] = []
        #: By file, the last used last.
        self._kept: dict[str, bytes] = {}
        self._jobs = 0
        buffer = io.BytesIO()
        Image.new("RGB", (64, 64)).save(buffer, "PNG")
        self._picture = base64.b64encode(buffer.getvalue()).decode()

    async def answer(self, request: StubRequest) -> StubAnswer:
        route = request.path.removeprefix("/sdapi/v1/")
        if route == "txt2img":
            return await self._generate(request.json())
        if route == "refresh-checkpoints":
            self._known = sorted(path.name for path in self._checkpoints.iterdir())
            return json_answer(None)
        answers: dict[str, Any] = {
            "sd-models": [
                {"title": name, "model_name": Path(name).stem, "hash": None, "filename": str(self._checkpoints / name)}
                for name in self._known
            ],
            "progress": {"progress": 0.0, "state": {**_IDLE, "job_timestamp": str(self._jobs)}},
            "options": {"sd_checkpoints_limit": self._keep},
            "sd-vae": [],
        }
        if route in answers:
            return json_answer(answers[route])
        return json_answer({"detail": "Not Found"}, HTTPStatus.NOT_FOUND)

    async def _generate(self, body: dict[str, Any]) -> StubAnswer:
        self._jobs += 1
        name = body["override_settings"]["sd_model_checkpoint"]
        await asyncio.to_thread(self._load, name)
        info = {"sd_model_name": Path(name).stem, "sd_model_hash": None, "index_of_first_image": 0}
        return json_answer({"images": [self._picture], "parameters": {}, "info": json.dumps(info)})

    def _load(self, name: str) -> None:
        weights = self._kept.pop(name, None)
        if weights is None:
            weights = (self._checkpoints / name).read_bytes()
        bytearray(weights)
        self._kept[name] = weights
        while len(self._kept) > self._keep:
            del self._kept[next(iter(self._kept))]


@click.command()
@click.option("--checkpoints", type=click.Path(path_type=Path), required=True)
@click.option("--keep", type=int, required=True)
def main(checkpoints: Path, keep: int) -> None:
    asyncio.run(serve(StubModelWebUi(checkpoints, keep).answer))


if __name__ == "__main__":
    main()
