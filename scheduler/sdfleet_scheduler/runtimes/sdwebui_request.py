"""What is sent to the WebUI for a job: checked, with the server's own spelling of every name."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from sdfleet.domain.task import JsonObject, TaskType
from sdfleet_scheduler.offload import offload
from sdfleet_scheduler.runtimes.base import Job, RuntimeFailure
from sdfleet_scheduler.runtimes.inlining import content_with_inputs
from sdfleet_scheduler.runtimes.sdwebui_catalog import Catalog, UnknownName
from sdfleet_scheduler.runtimes.sdwebui_checkpoint import Checkpoint
from sdfleet_scheduler.runtimes.sdwebui_networks import check_extra_models

_ENDPOINTS = {
    TaskType.TEXT_TO_IMAGE: "/sdapi/v1/txt2img",
    TaskType.IMAGE_TO_IMAGE: "/sdapi/v1/img2img",
    TaskType.EXTRA_SINGLE_IMAGE: "/sdapi/v1/extra-single-image",
    TaskType.EXTRA_BATCH_IMAGES: "/sdapi/v1/extra-batch-images",
}
_EXTRAS = (TaskType.EXTRA_SINGLE_IMAGE, TaskType.EXTRA_BATCH_IMAGES)

#: Our routing fields: an unknown key among the scripts is a 422 (wire contract, Requests).
_ROUTING = ("task", "id_task", "save_dir", "image_link", "uid", "sd_model_checkpoint", "sd_vae", "override_settings")
#: The latent grid: the server rounds a size down to it and says nothing (13 becomes 8).
_SIZE_STEP = 8
#: Smallest value and step of the whole numbers that the server answers with an exception or with another picture.
_NUMBERS = {
    "width": (8, _SIZE_STEP),
    "height": (8, _SIZE_STEP),
    "steps": (1, 1),
    "batch_size": (1, 1),
    "n_iter": (1, 1),
}
_HIRES_NUMBERS = {"hr_resize_x": (0, _SIZE_STEP), "hr_resize_y": (0, _SIZE_STEP), "hr_second_pass_steps": (0, 1)}

#: Fields whose names are no files; all the others name models.
_NO_MODELS = ("sampler_name", "sampler_index", "scheduler", "hr_sampler_name", "hr_scheduler")

_CHECKPOINT = "sd_model_checkpoint"
_VAE = "sd_vae"
_FORGE_MODULES = "forge_additional_modules"


@dataclass(frozen=True)
class WebUiRequest:
    path: str
    body: bytes = field(repr=False)
    tasktype: TaskType
    #: Our name for the job at the server; upscaling has none.
    task_id: str | None = None
    #: The model that must have made the pictures.
    checkpoint: Checkpoint | None = None
    #: Fewer pictures than this are no result; 0: nobody knows (scripts make what they like).
    least_images: int = 1
    option_names: tuple[str, ...] = ()
    #: Of a batch to upscale, in order.
    names: tuple[str | None, ...] = ()


async def request_for(job: Job, catalog: Catalog) -> WebUiRequest:
    """Raises:
    RuntimeFailure: the request cannot be served; permanent, with every bad field.
    """
    if job.tasktype not in _ENDPOINTS:
        raise RuntimeFailure.permanent("validation_failed", f"A WebUI does not serve {job.tasktype}.")
    content = await offload(content_with_inputs, job)
    draft = _Draft(content, catalog)
    if job.tasktype in _EXTRAS:
        return await _extras(job, draft)
    return await _generation(job, draft)


async def _generation(job: Job, draft: _Draft) -> WebUiRequest:
    content = draft.content
    _take_out_routing(draft)
    if job.tasktype is TaskType.IMAGE_TO_IMAGE and not _is_filled_list(content.get("init_images")):
        draft.refuse("init_images", "must be a list of at least one picture")
    draft.numbers(_NUMBERS)
    await _samplers(draft, "sampler_name" if content.get("sampler_name") else "sampler_index", "scheduler")
    if content.get("enable_hr"):
        draft.numbers(_HIRES_NUMBERS)
        await _samplers(draft, "hr_sampler_name", "hr_scheduler", same=("use same sampler", "use same scheduler"))
        await draft.spell("hr_upscaler", lambda name: draft.catalog.upscaler(name, latent=True))
        await draft.spell("hr_checkpoint_name", draft.checkpoint_file, keep=("use same checkpoint",))
    await draft.spell("refiner_checkpoint", draft.checkpoint_file, keep=("none",))
    await check_extra_models(content, draft.catalog, draft.found)
    settings = content.get("override_settings") or {}
    if not isinstance(settings, dict):
        draft.refuse("override_settings", "must be an object")
        settings = {}
    settings = await _vae(draft, settings)
    checkpoint = await _model(draft, settings, job.model)
    draft.finish()
    content |= {
        "override_settings": settings,
        # A job's settings are its own: what it leaves behind would be the next job's silent default.
        "override_settings_restore_afterwards": True,
        "force_task_id": job.try_id,
        "send_images": True,
        # The inputs' base64 again, in the answer and so in the `.out` object.
        "include_init_images": False,
    }
    scripted = bool(content.get("script_name"))
    return WebUiRequest(
        path=_ENDPOINTS[job.tasktype],
        body=await offload(_encoded, content),
        tasktype=job.tasktype,
        task_id=job.try_id,
        checkpoint=checkpoint,
        least_images=0 if scripted else content.get("batch_size", 1) * content.get("n_iter", 1),
        option_names=tuple(settings),
    )


async def _extras(job: Job, draft: _Draft) -> WebUiRequest:
    content = draft.content
    for key in ("alwayson_scripts", "override_settings"):
        content.pop(key, None)
    names: tuple[str | None, ...] = ()
    if job.tasktype is TaskType.EXTRA_SINGLE_IMAGE:
        if not content.get("image"):
            draft.refuse("image", "must be a picture")
    elif _is_filled_list(content.get("imageList")):
        # The server wants a name of each; ours is only for the `.out`.
        entries = [entry if isinstance(entry, dict) else {"data": entry} for entry in content["imageList"]]
        content["imageList"] = [{"name": f"{number}.png", **entry} for number, entry in enumerate(entries, 1)]
        names = tuple(str(entry["name"]) if entry.get("name") else None for entry in entries)
    else:
        draft.refuse("imageList", 'must be a list of at least one {"data", "name"}')
    # Mode 0 scales by a factor, mode 1 to a size; the other's fields do not matter.
    if content.get("resize_mode"):
        draft.numbers({"upscaling_resize_w": (1, 1), "upscaling_resize_h": (1, 1)})
    elif not _is_positive(content.get("upscaling_resize", 1)):
        draft.refuse("upscaling_resize", "must be a number above 0")
    for key in ("upscaler_1", "upscaler_2"):
        await draft.spell(key, draft.catalog.upscaler)
    draft.finish()
    return WebUiRequest(
        path=_ENDPOINTS[job.tasktype],
        body=await offload(_encoded, content),
        tasktype=job.tasktype,
        least_images=len(names) or 1,
        names=names,
    )


class _Draft:
    """A content being put right, and everything that is wrong with it."""

    def __init__(self, content: JsonObject, catalog: Catalog) -> None:
        self.content = content
        self.catalog = catalog
        self._problems: list[str] = []
        self._codes: set[str] = set()

    def refuse(self, path: str, problem: str, code: str = "validation_failed") -> None:
        self._problems.append(f"content.{path}: {problem}")
        self._codes.add(code)

    def finish(self) -> None:
        """Raises:
        RuntimeFailure: something was refused.
        """
        if self._problems:
            code = self._codes.pop() if len(self._codes) == 1 else "validation_failed"
            raise RuntimeFailure.permanent(code, "; ".join(self._problems))

    def numbers(self, limits: dict[str, tuple[int, int]]) -> None:
        for key, (least, step) in limits.items():
            if key not in self.content:
                continue
            number = _whole(self.content[key])
            if number is None or number < least or number % step:
                of = f" and a multiple of {step}" if step > 1 else ""
                self.refuse(key, f"must be a whole number of at least {least}{of}")
            else:
                self.content[key] = number

    async def spell(self, key: str, look_up: Callable[[str], Awaitable[str]], *, keep: tuple[str, ...] = ()) -> None:
        """Replace the name in `key`, if there is one, by the server's spelling."""
        wanted = self.content.get(key)
        if not wanted or (isinstance(wanted, str) and wanted.casefold() in keep):
            return
        found = await self.found(key, wanted, look_up)
        if found is not None:
            self.content[key] = found

    async def found(self, path: str, wanted: Any, look_up: Callable[[str], Awaitable[Any]]) -> Any:
        if not isinstance(wanted, str):
            self.refuse(path, "must be a name")
            return None
        try:
            return await look_up(wanted)
        except UnknownName as error:
            self.refuse(path, str(error), "validation_failed" if path in _NO_MODELS else "model_not_found")
            return None

    async def checkpoint_file(self, wanted: str) -> str:
        return (await self.catalog.checkpoint(wanted)).file


def _take_out_routing(draft: _Draft) -> None:
    """Take our routing fields from among the scripts; the model choice there belongs to the settings."""
    content = draft.content
    scripts = content.get("alwayson_scripts")
    if scripts is None or scripts == []:
        content.pop("alwayson_scripts", None)
        return
    if not isinstance(scripts, dict):
        draft.refuse("alwayson_scripts", "must be an object")
        return
    content["alwayson_scripts"] = {key: value for key, value in scripts.items() if key not in _ROUTING}
    chosen = {key: scripts[key] for key in (_CHECKPOINT, _VAE) if scripts.get(key)}
    extra = scripts.get("override_settings")
    chosen = {**(extra if isinstance(extra, dict) else {}), **chosen}
    settings = content.get("override_settings") or {}
    if chosen and isinstance(settings, dict):
        content["override_settings"] = {**settings, **chosen}


async def _samplers(draft: _Draft, sampler: str, scheduler: str, *, same: tuple[str, ...] = ()) -> None:
    content = draft.content
    await draft.spell(scheduler, draft.catalog.scheduler, keep=same)
    wanted = content.get(sampler)
    if not wanted or (isinstance(wanted, str) and wanted.casefold() in same):
        return
    found = await draft.found(sampler, wanted, draft.catalog.sampler)
    if found is not None:
        content[sampler] = found.name
        if found.scheduler is not None:
            content[scheduler] = found.scheduler


async def _vae(draft: _Draft, settings: JsonObject) -> JsonObject:
    """The settings with the VAE as this server takes it: Forge ignores `sd_vae` and has modules instead."""
    settings = dict(settings)
    wanted = settings.pop(_VAE, None)
    modules = settings.get(_FORGE_MODULES)
    if not wanted and not modules:
        return settings
    path = f"override_settings.{_VAE}"
    if not await draft.catalog.is_forge():
        if wanted:
            settings[_VAE] = await draft.found(path, wanted, draft.catalog.vae)
        return settings
    chosen = [
        await draft.found(f"override_settings.{_FORGE_MODULES}", module, draft.catalog.module)
        for module in (modules if isinstance(modules, list) else [modules])
        if module
    ]
    choice = str(wanted or "automatic").casefold()
    if choice not in ("automatic", "none"):
        chosen.append(await draft.found(path, wanted, draft.catalog.module))
    if chosen or choice == "none":
        settings[_FORGE_MODULES] = chosen
    return settings


async def _model(draft: _Draft, settings: JsonObject, model: str | None) -> Checkpoint | None:
    """Name the model in every job: without a name, or with an empty one, the server takes what it last had."""
    wanted = settings.pop(_CHECKPOINT, None) or model
    if not wanted:
        return None
    checkpoint = await draft.found(f"override_settings.{_CHECKPOINT}", wanted, draft.catalog.checkpoint)
    if not isinstance(checkpoint, Checkpoint):
        return None
    settings[_CHECKPOINT] = checkpoint.file
    return checkpoint


def _whole(value: Any) -> int | None:
    """The whole number in a JSON number or (the server takes those) a string of digits."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value.strip().lstrip("-").isdecimal():
        return int(value)
    return None


def _is_positive(value: Any) -> bool:
    try:
        return not isinstance(value, bool) and float(value) > 0
    except (TypeError, ValueError):
        return False


def _is_filled_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value)


def _encoded(content: JsonObject) -> bytes:
    return json.dumps(content).encode()
