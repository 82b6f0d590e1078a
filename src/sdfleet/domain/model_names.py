"""Which models a request names."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterator
from typing import Any

from sdfleet.domain.models import ModelKind, NamedModel, model_file_stem
from sdfleet.domain.task import JsonObject, TaskType
from sdfleet.domain.workflow import unwrap_workflow

#: `<lora:ink wash:0.8>`, as the WebUI reads it.
_NETWORK = re.compile(r"<(\w+):([^>:]+)[^>]*>")
_NETWORKS = {
    "lora": ModelKind.LORA,
    "lyco": ModelKind.LORA,
    "hypernet": ModelKind.HYPERNETWORK,
}
#: Only these prompts may load networks; in a negative one `<lora:...>` is text.
_PROMPTS_WITH_NETWORKS = ("prompt", "hr_prompt")
_PROMPTS = ("prompt", "negative_prompt", "hr_prompt", "hr_negative_prompt")
#: What stands in these fields without naming a file.
_NO_FILE = {"", "none", "automatic", "use same checkpoint", "use same vae", "baked vae", "passthrough"}

_WEBUI_FIELDS = {
    "refiner_checkpoint": ModelKind.CHECKPOINT,
    "hr_checkpoint_name": ModelKind.CHECKPOINT,
    "hr_upscaler": ModelKind.UPSCALER,
    "upscaler_1": ModelKind.UPSCALER,
    "upscaler_2": ModelKind.UPSCALER,
}
#: Fields of an argument of a script that is always on, by the script's name in lower case.
_SCRIPT_FIELDS = {
    "controlnet": {"model": ModelKind.CONTROLNET},
    "adetailer": {
        "ad_checkpoint": ModelKind.CHECKPOINT,
        "ad_vae": ModelKind.VAE,
        "ad_controlnet_model": ModelKind.CONTROLNET,
    },
}

#: `embedding:name` in any text of a workflow.
_EMBEDDING = re.compile(r"embedding:([^\s,():]+)")
#: A node's input, where its class does not say otherwise: custom loaders follow ComfyUI's own.
_INPUTS = {
    "ckpt_name": ModelKind.CHECKPOINT,
    "vae_name": ModelKind.VAE,
    "lora_name": ModelKind.LORA,
    "control_net_name": ModelKind.CONTROLNET,
    "unet_name": ModelKind.DIFFUSION_MODEL,
    "clip_name": ModelKind.TEXT_ENCODER,
    "clip_name1": ModelKind.TEXT_ENCODER,
    "clip_name2": ModelKind.TEXT_ENCODER,
    "clip_name3": ModelKind.TEXT_ENCODER,
    "clip_name4": ModelKind.TEXT_ENCODER,
    "clip_vision_name": ModelKind.CLIP_VISION,
    "style_model_name": ModelKind.STYLE_MODEL,
    "gligen_name": ModelKind.GLIGEN,
    "hypernetwork_name": ModelKind.HYPERNETWORK,
    "photomaker_model_name": ModelKind.PHOTOMAKER,
    "audio_encoder_name": ModelKind.AUDIO_ENCODER,
    "upscale_model_name": ModelKind.UPSCALER,
}
_INPUTS_OF = {
    "UpscaleModelLoader": {"model_name": ModelKind.UPSCALER},
    "LatentUpscaleModelLoader": {"model_name": ModelKind.LATENT_UPSCALER},
    "CLIPVisionLoader": {"clip_name": ModelKind.CLIP_VISION},
    "ModelPatchLoader": {"name": ModelKind.MODEL_PATCH},
    "LTXAVTextEncoderLoader": {"text_encoder": ModelKind.TEXT_ENCODER},
    "FaceRestoreModelLoader": {"model_name": ModelKind.FACE_RESTORER},
}


def models_named(
    tasktype: TaskType, content: JsonObject, *, model: str | None, embeddings: Collection[str]
) -> list[NamedModel]:
    """Every model that a request names, once each.

    `model`: the checkpoint of a WebUI's request that names none. `embeddings`: keys of those that there are, because
    the WebUI takes their bare names anywhere in a prompt.
    """
    if tasktype is TaskType.PIPELINE:
        found = list(_in_workflow(content))
    else:
        found = [*_in_settings(content, tasktype, model), *_in_fields(content, embeddings)]
    named = {(each.kind, each.name): each for each in reversed(found) if each.name.strip().casefold() not in _NO_FILE}
    return list(reversed(named.values()))


def _in_settings(content: JsonObject, tasktype: TaskType, model: str | None) -> Iterator[NamedModel]:
    scripts = content.get("alwayson_scripts")
    scripts = scripts if isinstance(scripts, dict) else {}
    outer, inner = content.get("override_settings"), scripts.get("override_settings")
    settings: JsonObject = {}
    for level in (outer, inner, {key: scripts[key] for key in ("sd_model_checkpoint", "sd_vae") if scripts.get(key)}):
        settings |= level if isinstance(level, dict) else {}
    at = "content.override_settings"
    checkpoint = settings.get("sd_model_checkpoint") or model
    if checkpoint and tasktype in (TaskType.TEXT_TO_IMAGE, TaskType.IMAGE_TO_IMAGE):
        yield from _named(ModelKind.CHECKPOINT, checkpoint, f"{at}.sd_model_checkpoint")
    yield from _named(ModelKind.VAE, settings.get("sd_vae"), f"{at}.sd_vae")
    modules = settings.get("forge_additional_modules")
    for module in modules if isinstance(modules, list) else [modules]:
        if isinstance(module, str):
            for kind in (ModelKind.VAE, ModelKind.TEXT_ENCODER):
                yield from _named(kind, posixpath.basename(module), f"{at}.forge_additional_modules")


def _in_fields(content: JsonObject, embeddings: Collection[str]) -> Iterator[NamedModel]:
    for field, kind in _WEBUI_FIELDS.items():
        yield from _named(kind, content.get(field), f"content.{field}")
    yield from extra_models(content)
    text = "\n".join(_text(content.get(field)) for field in _PROMPTS).casefold()
    for key in embeddings:
        stem = model_file_stem(key)
        if stem.casefold() in text and re.search(rf"(?<!\w){re.escape(stem.casefold())}(?!\w)", text):
            yield NamedModel(ModelKind.EMBEDDING, stem, "content.prompt")


def extra_models(content: JsonObject) -> Iterator[NamedModel]:
    """What a WebUI's prompts and scripts load beside the checkpoint."""
    for field in _PROMPTS_WITH_NETWORKS:
        for match in _NETWORK.finditer(_text(content.get(field))):
            if match[1] in _NETWORKS:
                yield NamedModel(_NETWORKS[match[1]], match[2], f"content.{field}")
    scripts = content.get("alwayson_scripts")
    for name, script in scripts.items() if isinstance(scripts, dict) else ():
        fields = _SCRIPT_FIELDS.get(name.casefold())
        units = script.get("args") if fields and isinstance(script, dict) else None
        for number, unit in enumerate(units if isinstance(units, list) else ()):
            if isinstance(unit, dict) and unit.get("enabled", True):
                for field, kind in (fields or {}).items():
                    yield from _named(kind, unit.get(field), f"content.alwayson_scripts.{name}.args[{number}].{field}")


def _text(prompt: Any) -> str:
    lines = prompt if isinstance(prompt, list) else [prompt]
    return "\n".join(line for line in lines if isinstance(line, str))


def _in_workflow(content: JsonObject) -> Iterator[NamedModel]:
    for node_id, node in unwrap_workflow(content).items():
        inputs = node.get("inputs") if isinstance(node, dict) else None
        if not isinstance(inputs, dict):
            continue
        kinds = {**_INPUTS, **_INPUTS_OF.get(str(node.get("class_type")), {})}
        for field, value in inputs.items():
            at = f"content.{node_id}.inputs.{field}"
            if field in kinds:
                yield from _named(kinds[field], value, at)
            elif isinstance(value, dict) and value.get("on", True):
                # A loader of many: {"on": true, "lora": "name", "strength": 1}.
                yield from _named(ModelKind.LORA, value.get("lora"), f"{at}.lora")
            elif isinstance(value, str):
                for name in _EMBEDDING.findall(value):
                    yield NamedModel(ModelKind.EMBEDDING, name, at)


def is_model_input(class_type: str, field: str) -> bool:
    """Whether a workflow's node loads a model by this input."""
    return field in _INPUTS or field in _INPUTS_OF.get(class_type, {})


def _named(kind: ModelKind, name: Any, path: str) -> Iterator[NamedModel]:
    if isinstance(name, str):
        yield NamedModel(kind, name, path)
