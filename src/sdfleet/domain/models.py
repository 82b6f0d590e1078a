"""Model files: their kinds, the directories of the model bucket, and which file a name means.

The bucket's layout is that of the EKS guidance (seed 001, Store Models), which is the WebUI's own; what only ComfyUI
knows has a directory of ComfyUI's name. The model directory of an instance has the same layout, key for key.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from sdfleet.domain.task import RuntimeType

#: Every directory that the guidance's bucket may have.
SEED_DIRECTORIES = (
    "CLIP", "Codeformer", "ControlNet", "ESRGAN", "GFPGAN", "LDSR", "Lora", "RealESRGAN", "ScuNET",
    "Stable-diffusion", "SwinIR", "VAE", "VAE-approx", "embeddings", "hypernetworks",
)  # fmt: skip


class ModelKind(StrEnum):
    """What a file is for. The value is the name of ComfyUI's folder for it."""

    CHECKPOINT = "checkpoints"
    VAE = "vae"
    #: Small decoders for previews.
    VAE_APPROX = "vae_approx"
    LORA = "loras"
    CONTROLNET = "controlnet"
    EMBEDDING = "embeddings"
    HYPERNETWORK = "hypernetworks"
    UPSCALER = "upscale_models"
    FACE_RESTORER = "facerestore_models"
    TEXT_ENCODER = "text_encoders"
    DIFFUSION_MODEL = "diffusion_models"
    CLIP_VISION = "clip_vision"
    STYLE_MODEL = "style_models"
    GLIGEN = "gligen"
    PHOTOMAKER = "photomaker"
    AUDIO_ENCODER = "audio_encoders"
    MODEL_PATCH = "model_patches"
    LATENT_UPSCALER = "latent_upscale_models"


#: Where the bucket keeps a kind: the guidance's directories first, then ComfyUI's, for buckets that were made for it.
DIRECTORIES: dict[ModelKind, tuple[str, ...]] = {
    ModelKind.CHECKPOINT: ("Stable-diffusion", "checkpoints"),
    ModelKind.VAE: ("VAE", "vae"),
    ModelKind.VAE_APPROX: ("VAE-approx", "vae_approx"),
    ModelKind.LORA: ("Lora", "loras"),
    ModelKind.CONTROLNET: ("ControlNet", "controlnet"),
    ModelKind.EMBEDDING: ("embeddings",),
    ModelKind.HYPERNETWORK: ("hypernetworks",),
    ModelKind.UPSCALER: ("ESRGAN", "RealESRGAN", "SwinIR", "ScuNET", "LDSR", "upscale_models"),
    ModelKind.FACE_RESTORER: ("GFPGAN", "Codeformer", "facerestore_models"),
    ModelKind.TEXT_ENCODER: ("CLIP", "text_encoders", "clip"),
    ModelKind.DIFFUSION_MODEL: ("diffusion_models", "unet"),
    ModelKind.CLIP_VISION: ("clip_vision",),
    ModelKind.STYLE_MODEL: ("style_models",),
    ModelKind.GLIGEN: ("gligen",),
    ModelKind.PHOTOMAKER: ("photomaker",),
    ModelKind.AUDIO_ENCODER: ("audio_encoders",),
    ModelKind.MODEL_PATCH: ("model_patches",),
    ModelKind.LATENT_UPSCALER: ("latent_upscale_models",),
}

#: The WebUI reads these once, when it starts, and has no route that makes it look again.
READ_AT_START = ("CLIP", "Codeformer", "ESRGAN", "GFPGAN", "LDSR", "RealESRGAN", "ScuNET", "SwinIR", "VAE-approx",
                 "hypernetworks")  # fmt: skip

SUFFIXES = (".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".gguf", ".sft", ".onnx", ".pkl")
_HASH = re.compile(r"\s*\[[0-9a-fA-F]{6,64}\]$")
#: The WebUI's names for upscalers whose files are called otherwise.
_FILE_OF_UPSCALER = {
    "r-esrgan 4x+": "RealESRGAN_x4plus",
    "r-esrgan 4x+ anime6b": "RealESRGAN_x4plus_anime_6B",
    "r-esrgan general 4xv3": "realesr-general-x4v3",
    "r-esrgan general wdn 4xv3": "realesr-general-wdn-x4v3",
    "r-esrgan animevideo": "realesr-animevideov3",
    "r-esrgan 2x+": "RealESRGAN_x2plus",
    "swinir 4x": "SwinIR_4x",
}


@dataclass(frozen=True)
class NamedModel:
    """A model that a request names."""

    kind: ModelKind
    name: str
    #: Where: `content.override_settings.sd_vae`, `content.4.inputs.ckpt_name`.
    path: str


def directories(kind: ModelKind, runtime: RuntimeType) -> tuple[str, ...]:
    """Where a runtime of this type finds files of this kind."""
    found = DIRECTORIES[kind]
    return found if runtime is RuntimeType.COMFYUI else tuple(name for name in found if name in SEED_DIRECTORIES)


def kind_of(key: str) -> ModelKind | None:
    """None for a key outside of the layout."""
    directory = key.split("/", 1)[0]
    return next((kind for kind, names in DIRECTORIES.items() if directory in names), None)


def is_safe_key(key: str) -> bool:
    """Whether a key is a path below a directory of the layout, and no way out of it."""
    parts = key.split("/")
    return (
        len(parts) > 1
        and kind_of(key) is not None
        and all(part not in ("", ".", "..") and part.isprintable() and "\\" not in part for part in parts)
    )


def keys_of(named: NamedModel, keys: Iterable[str], runtime: RuntimeType) -> list[str]:
    """The key that the name means, and those of files that belong to it; empty if there is none."""
    places = directories(named.kind, runtime)
    near = [key for key in keys if key.split("/", 1)[0] in places and is_safe_key(key)]
    if runtime is RuntimeType.COMFYUI:
        return _by_path(named, near, places)
    name = _HASH.sub("", named.name.strip())
    if named.kind is ModelKind.UPSCALER:
        name = _FILE_OF_UPSCALER.get(name.casefold(), name)
    found = _by_any_name(name, near)
    if found is None:
        return []
    return [found, *(_companions(found, keys) if named.kind is ModelKind.CHECKPOINT else ())]


def _by_path(named: NamedModel, keys: list[str], places: tuple[str, ...]) -> list[str]:
    """ComfyUI takes the path below the folder, whole; an embedding also without its suffix."""
    name = named.name.replace("\\", "/")
    suffixes = ("", ".safetensors", ".pt", ".bin") if named.kind is ModelKind.EMBEDDING else ("",)
    wanted = (f"{place}/{name}{suffix}" for place in places for suffix in suffixes)
    return [key for key in wanted if key in keys][:1]


def _by_any_name(wanted: str, keys: list[str]) -> str | None:
    """As the WebUI takes names: path or file, with suffix or without; the case matters last."""
    files = [key for key in keys if key.lower().endswith(SUFFIXES)]
    # Of two suffixes the safer, of two places the nearer.
    files.sort(key=lambda key: (not key.endswith(".safetensors"), key.count("/"), key))
    for fold in (str, str.casefold):
        for names in (_paths, _file_names):
            for key in files:
                if fold(wanted) in map(fold, names(key)):
                    return key
    return None


def _paths(key: str) -> tuple[str, str]:
    path = key.split("/", 1)[1]
    return path, posixpath.splitext(path)[0]


def model_file_stem(path: str) -> str:
    """The file's name without its suffix, as prompts have it."""
    return posixpath.splitext(posixpath.basename(path))[0]


def _file_names(key: str) -> tuple[str, str]:
    name = posixpath.basename(key)
    return name, model_file_stem(name)


def _companions(checkpoint: str, keys: Iterable[str]) -> Iterator[str]:
    """The configuration and the VAE that the WebUI takes for a checkpoint because they have its name."""
    beside, in_vae = posixpath.splitext(checkpoint)[0], f"VAE/{model_file_stem(checkpoint)}"
    for key in keys:
        if key == f"{beside}.yaml" or (key.startswith((f"{beside}.vae.", f"{in_vae}.vae.")) and is_safe_key(key)):
            yield key
