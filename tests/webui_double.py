"""A WebUI that answers what real ones were recorded to answer, silent wrong answers included."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

from sdfleet.domain.task import TaskType
from sdfleet_scheduler.runtimes.base import Job
from sdfleet_scheduler.runtimes.sdwebui import SdWebUiRuntime

FIXTURES = Path(__file__).parent / "fixtures" / "sdwebui"
URL = "http://127.0.0.1:7860"
#: 16 x 16, as the recordings of the upscalers hold it.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAIAAACQkWg2AAAAFklEQVR4nGM4ISdHEmIY1TCqYfhqAADkYgQQ60fIxgAAAABJRU5ErkJggg=="
)
PNG_BASE64 = base64.b64encode(PNG).decode()
#: The two checkpoints of the recordings, and the hash of the first.
MODEL, OTHER_MODEL = "rand-a.safetensors", "rand-b.safetensors"
MODEL_HASH = "d6012cb3af"

#: Not recorded; shortened from the API's own schema (`SchedulerItem`, `SDVaeItem`, `SDModuleItem`).
_SCHEDULERS = [
    {"name": "automatic", "label": "Automatic", "aliases": None, "default_rho": -1, "need_inner_model": False},
    {"name": "karras", "label": "Karras", "aliases": None, "default_rho": 7.0, "need_inner_model": False},
    {"name": "sgm_uniform", "label": "SGM Uniform", "aliases": ["SGMUniform"], "default_rho": -1},
]
_VAES = [{"model_name": "ft-mse.vae.safetensors", "filename": "/srv/webui/models/VAE/ft-mse.vae.safetensors"}]
_LATENT_MODES = [{"name": "Latent"}, {"name": "Latent (nearest-exact)"}]


def recorded(flavour: str, name: str) -> httpx.Response:
    """A recorded answer; pictures in it are cut off, as they were in the recording."""
    capture = json.loads((FIXTURES / flavour / f"{name}.json").read_text())
    body = capture["response"]
    if isinstance(body, str):
        return httpx.Response(capture["status"], text=body)
    return httpx.Response(capture["status"], json=body)


class WebUi:
    """Generates at once unless told otherwise: `busy` keeps every job running until it is interrupted or let go."""

    def __init__(self, flavour: str = "a1111", *, has_page: bool = True) -> None:
        self.flavour = flavour
        self.has_page = has_page
        self.requests: list[tuple[str, Any]] = []
        self.loaded = MODEL
        self.checkpoints: list[dict[str, Any]] = recorded(flavour, "sd-models").json()
        #: Copied to the disk after the server's last look at it.
        self.unseen_checkpoints: list[dict[str, Any]] = []
        #: Beside the loaded checkpoint.
        self.options: dict[str, Any] = {}
        self.state: dict[str, Any] = recorded(flavour, "progress-idle-skip").json()["state"]
        #: The answer of every generation, instead of making pictures.
        self.answer: httpx.Response | Exception | None = None
        #: Changes what a generation answers.
        self.edit: Callable[[dict[str, Any]], None] = lambda answer: None
        self.busy: asyncio.Event | None = None
        #: Takes interrupts, and goes on.
        self.is_deaf = False
        #: Answers img2img as to a picture that cannot be decoded.
        self.refuses_before_beginning = False
        self.running = asyncio.Event()
        self.progress: float | None = 0.0
        self._active: str | None = None
        self._jobs = 0

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=URL, transport=httpx.MockTransport(self._handle), trust_env=False)

    def runtime(self, **options: Any) -> SdWebUiRuntime:
        """Looks every 2 ms, where against a real server it would be a second."""
        return SdWebUiRuntime(self.client(), **{"watch_interval": timedelta(milliseconds=2), **options})

    def sent(self, path: str) -> list[Any]:
        """The bodies sent to a path."""
        return [body for called, body in self.requests if called == path]

    async def looked_at(self) -> None:
        """Returns once the server's state has been asked for, and used, from now on."""
        looks = len(self.sent("/sdapi/v1/progress"))
        while len(self.sent("/sdapi/v1/progress")) < looks + 2:
            await asyncio.sleep(0.001)

    def becomes_anothers(self) -> None:
        """From now on somebody else's job runs, and ours waits for the lock."""
        self._active = "task(somebody-else)"

    @property
    def generations(self) -> list[Any]:
        return self.sent("/sdapi/v1/txt2img") + self.sent("/sdapi/v1/img2img")

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        body: Any = json.loads(request.content) if request.content else None
        self.requests.append((path, body))
        route = path.removeprefix("/sdapi/v1/")
        if path.startswith("/internal/"):
            return self._task_progress(body) if self.has_page else httpx.Response(404, json={"detail": "Not Found"})
        if route == "progress":
            return httpx.Response(200, json={"progress": self.progress or 0.0, "state": self.state})
        if route == "interrupt":
            self.state = {**self.state, "interrupted": True}
            if self.busy is not None and self.state["job"] and not self.is_deaf:
                self.busy.set()
            return httpx.Response(200, json={})
        if route in ("txt2img", "img2img", "extra-single-image", "extra-batch-images"):
            return await self._generate(route, body)
        if route == "options" and body:
            self.options.update(body)
            return httpx.Response(200, json=None)
        return self._list(route)

    def _task_progress(self, body: dict[str, Any]) -> httpx.Response:
        answer = recorded(self.flavour, "internal-progress").json()
        is_active = self._active == body["id_task"]
        return httpx.Response(
            200, json={**answer, "active": is_active, "progress": self.progress if is_active else None}
        )

    def _list(self, route: str) -> httpx.Response:
        lists: dict[str, Any] = {
            "sd-models": self.checkpoints,
            "schedulers": _SCHEDULERS,
            "latent-upscale-modes": _LATENT_MODES,
            "sd-modules" if self.flavour == "forge" else "sd-vae": _VAES,
            "options": {
                "sd_model_checkpoint": self.checkpoints[0]["title"] if self.checkpoints else None,
                **self.options,
            },
            "unload-checkpoint": {},
            "reload-checkpoint": {},
            "memory": recorded(self.flavour, "memory").json(),
            "refresh-vae": None,
        }
        if route == "refresh-checkpoints":
            self.checkpoints = [*self.checkpoints, *self.unseen_checkpoints]
            return httpx.Response(200, json=None)
        if route in ("samplers", "upscalers"):
            return recorded(self.flavour, route)
        if route in lists:
            return httpx.Response(200, json=lists[route])
        return httpx.Response(404, json={"detail": "Not Found"})

    async def _generate(self, route: str, body: dict[str, Any]) -> httpx.Response:
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.refuses_before_beginning:
            return recorded(self.flavour, "err-img2img-bad-init")
        self._begin(route, body)
        try:
            if self.busy is not None:
                await self.busy.wait()
        finally:
            self._active = None
            self.state = {**self.state, "job": "", "job_count": 0}
        if self.answer is not None:
            return self.answer
        answer = self._extras(route, body) if route.startswith("extra") else self._pictures(body)
        self.edit(answer)
        return httpx.Response(200, json=answer)

    def _begin(self, route: str, body: dict[str, Any]) -> None:
        self._jobs += 1
        self._active = body.get("force_task_id")
        self.state = {
            **self.state,
            "job": "extras" if route.startswith("extra") else f"scripts_{route}",
            "job_timestamp": f"2026112021{self._jobs:04}",
            "interrupted": False,
            "job_no": 0,
            "sampling_step": 0,
        }
        self.running.set()

    def _pictures(self, body: dict[str, Any]) -> dict[str, Any]:
        wanted = (body.get("override_settings") or {}).get("sd_model_checkpoint")
        known = {entry["title"].split(" [")[0]: entry for entry in self.checkpoints}
        # As recorded: an unknown model is passed over, and the current one makes the picture.
        entry = known.get(wanted) or known.get(self.loaded) or self.checkpoints[0]
        count = body.get("batch_size", 1) * body.get("n_iter", 1)
        made = 1 if self.state["interrupted"] else count
        info = {
            "prompt": body.get("prompt"),
            "all_seeds": [42 + number for number in range(count)],
            "sd_model_name": entry["model_name"],
            "sd_model_hash": MODEL_HASH if entry["model_name"] == "rand-a" else "7c65752c2f",
            "index_of_first_image": 0,
        }
        return {"images": [PNG_BASE64] * made, "parameters": {"steps": body.get("steps")}, "info": json.dumps(info)}

    def _extras(self, route: str, body: dict[str, Any]) -> dict[str, Any]:
        if route == "extra-single-image":
            return dict(recorded(self.flavour, "extra-lanczos").json())
        return {**recorded(self.flavour, "extra-batch").json(), "images": [PNG_BASE64] * len(body["imageList"])}


def set_info(answer: dict[str, Any], **changes: Any) -> None:
    """Change what an answer's `info` says."""
    answer["info"] = json.dumps({**json.loads(answer["info"]), **changes})


def a_webui_job(tasktype: TaskType = TaskType.TEXT_TO_IMAGE, **changes: Any) -> Job:
    """One small picture of rand-a; keywords that `Job` has go to the job, all others to its content."""
    content: dict[str, Any] = {"prompt": "a lighthouse", "steps": 2, "width": 64, "height": 64, "seed": 42}
    if tasktype is TaskType.IMAGE_TO_IMAGE:
        content["init_images"] = [PNG_BASE64]
    if tasktype is TaskType.EXTRA_SINGLE_IMAGE:
        content = {"image": PNG_BASE64, "upscaler_1": "Lanczos", "upscaling_resize": 2}
    if tasktype is TaskType.EXTRA_BATCH_IMAGES:
        images = [{"data": PNG_BASE64, "name": "a.png"}, {"data": PNG_BASE64, "name": "b.png"}]
        content = {"imageList": images, "upscaler_1": "Nearest", "upscaling_resize": 2}
    fields: dict[str, Any] = {
        key: changes.pop(key) for key in ("inputs", "model", "task_id", "try_id") if key in changes
    }
    job: dict[str, Any] = {"task_id": "test-t2i", "run": "run-1", "try_id": "run-1-1", "model": MODEL, **fields}
    return Job(tasktype=tasktype, content={**content, **changes}, **job)
