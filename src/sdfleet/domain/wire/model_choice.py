"""Which model a request names: `alwayson_scripts` or `override_settings` say so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sdfleet.domain.task import JsonObject
from sdfleet.domain.wire.reader import Reader

#: What is taken out of `alwayson_scripts`: an unknown key there is a 422 of the WebUI (wire contract, Requests).
MODEL_FIELDS = ("sd_model_checkpoint", "sd_vae", "override_settings")


@dataclass(frozen=True)
class ModelChoice:
    """The checkpoint that a request names, if any, and where."""

    model: str | None = None
    path: str = ""


NO_CHOICE = ModelChoice()


def move_model_choice(reader: Reader, content: JsonObject, path: str) -> ModelChoice:
    """Move the model fields of `content["alwayson_scripts"]` to `override_settings`.

    A list as `alwayson_scripts` (the gradio form of some clients) is the runtime's business and stays as it is.
    """
    at = f"{path}." if path else ""
    settings = _settings(reader, content, f"{at}override_settings")
    choice = _named(reader, settings, f"{at}override_settings.sd_model_checkpoint")
    scripts = content.get("alwayson_scripts")
    if not isinstance(scripts, dict):
        return choice
    moved = _settings(reader, scripts, f"{at}alwayson_scripts.override_settings")
    inner = _named(reader, moved, f"{at}alwayson_scripts.override_settings.sd_model_checkpoint")
    for key in ("sd_model_checkpoint", "sd_vae"):
        if scripts.get(key) is not None:
            value = reader.text(scripts, key, f"{at}alwayson_scripts.{key}")
            moved = {**moved, key: value} if value is not None else moved
    if any(key in scripts for key in MODEL_FIELDS):
        content["alwayson_scripts"] = {key: value for key, value in scripts.items() if key not in MODEL_FIELDS}
    if moved:
        content["override_settings"] = {**settings, **moved}
    outer = scripts.get("sd_model_checkpoint")
    if isinstance(outer, str) and outer:
        return ModelChoice(outer, f"{at}alwayson_scripts.sd_model_checkpoint")
    return inner if inner.model else choice


def _settings(reader: Reader, parent: JsonObject, path: str) -> dict[str, Any]:
    settings = parent.get("override_settings")
    if settings is None:
        return {}
    if not isinstance(settings, dict):
        reader.refuse(path, "must be an object")
        return {}
    return settings


def _named(reader: Reader, settings: dict[str, Any], path: str) -> ModelChoice:
    model = settings.get("sd_model_checkpoint")
    if model is None:
        return NO_CHOICE
    if not isinstance(model, str) or not model:
        reader.refuse(path, "must be a non-empty string")
        return NO_CHOICE
    return ModelChoice(model, path)
