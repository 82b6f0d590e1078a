"""`python -m sdfleet_bench.stub_webui`: a WebUI that takes a fixed time for a picture and knows when it was busy.

Its clock is the GPU's: busy from the moment a request has been read until the picture is done; sending the answer,
waiting for the next request and reading it are idle time.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import random
import time
from http import HTTPStatus
from typing import Any

import click
from PIL import Image

from sdfleet_bench.loopback_http import StubAnswer, StubRequest, json_answer, serve

CONTROL = "/_bench/"
#: Noise does not compress: 351 x 351 x 3 bytes are a PNG of 370 kB, what SD 1.5 makes of 512 x 512.
_SIDE = 351
_SAMPLER = {"name": "Euler a", "aliases": ["k_euler_a"], "options": {}}


class StubWebUi:
    def __init__(self, image_seconds: float) -> None:
        self._image_seconds = image_seconds
        self._gpu = asyncio.Lock()
        self._picture = _picture()
        #: Begin and end of each job, in seconds of the monotonic clock.
        self._jobs: list[tuple[float, float]] = []
        self._is_busy = False

    async def answer(self, request: StubRequest) -> StubAnswer:
        if request.path == f"{CONTROL}reset":
            self._jobs.clear()
            return json_answer({})
        if request.path == f"{CONTROL}jobs":
            return json_answer(self._jobs)
        route = request.path.removeprefix("/sdapi/v1/")
        if route == "txt2img":
            return await self._generate(request.json())
        if route == "progress":
            return json_answer({"progress": 0.5 if self._is_busy else 0.0, "state": self._state()})
        if request.path == "/internal/progress":
            return json_answer({"active": self._is_busy, "queued": False, "completed": False, "progress": 0.5})
        if route == "samplers":
            return json_answer([_SAMPLER])
        if route in ("schedulers", "upscalers", "sd-models", "sd-vae", "options"):
            return json_answer({} if route == "options" else [])
        return json_answer({"detail": "Not Found"}, HTTPStatus.NOT_FOUND)

    async def _generate(self, body: dict[str, Any]) -> StubAnswer:
        async with self._gpu:
            began = time.monotonic()
            self._is_busy = True
            if self._image_seconds:
                await asyncio.sleep(self._image_seconds)
            self._is_busy = False
            self._jobs.append((began, time.monotonic()))
        info = json.dumps({"seed": body.get("seed", -1), "index_of_first_image": 0, "sd_model_name": "stub"})
        parameters = json.dumps({name: value for name, value in body.items() if not name.startswith("_")})
        # The picture is the bulk: encoded once, so that the answer leaves at once.
        text = f'"], "parameters": {parameters}, "info": {json.dumps(info)}}}'
        return StubAnswer(body=b'{"images": ["' + self._picture + text.encode())

    def _state(self) -> dict[str, Any]:
        return {
            "job": "scripts_txt2img" if self._is_busy else "",
            "job_timestamp": str(len(self._jobs)),
            "job_no": 0,
            "job_count": 1,
            "sampling_step": 0,
            "sampling_steps": 20,
            "interrupted": False,
            "skipped": False,
            "stopping_generation": False,
        }


def _picture() -> bytes:
    noise = Image.frombytes("RGB", (_SIDE, _SIDE), random.Random(0).randbytes(_SIDE * _SIDE * 3))
    buffer = io.BytesIO()
    noise.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue())


@click.command()
@click.option("--image-seconds", type=float, required=True)
def main(image_seconds: float) -> None:
    asyncio.run(_main(image_seconds))


async def _main(image_seconds: float) -> None:
    await serve(StubWebUi(image_seconds).answer)


if __name__ == "__main__":
    main()
