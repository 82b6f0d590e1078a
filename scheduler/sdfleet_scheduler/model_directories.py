"""Tells both runtimes where the models are: one directory, in the layout of the model bucket."""

from __future__ import annotations

from pathlib import Path

from sdfleet.domain.models import DIRECTORIES

_WEBUI_FLAGS = {
    "--ckpt-dir": "Stable-diffusion",
    "--vae-dir": "VAE",
    "--lora-dir": "Lora",
    "--embeddings-dir": "embeddings",
    "--hypernetwork-dir": "hypernetworks",
    "--codeformer-models-path": "Codeformer",
    "--gfpgan-models-path": "GFPGAN",
    "--esrgan-models-path": "ESRGAN",
    "--realesrgan-models-path": "RealESRGAN",
    "--clip-models-path": "CLIP",
    "--ldsr-models-path": "LDSR",
    "--scunet-models-path": "ScuNET",
    "--swinir-models-path": "SwinIR",
}
#: Directories without a flag of the WebUI's own: a link in its `models` stands in for it.
_LINKED = ("VAE-approx", "ControlNet")


def webui_arguments(models: Path) -> list[str]:
    """Command-line flags of AUTOMATIC1111 and Forge."""
    return [part for flag, directory in _WEBUI_FLAGS.items() for part in (flag, str(models / directory))]


def link_into_webui(models: Path, webui: Path) -> list[Path]:
    """Link the directories for which there is no flag into the WebUI's `models` folder; returns the new links.

    A folder that is there already stays as it is, and gets ours as its subfolder `sdfleet`. (The ControlNet extension
    looks into subfolders. Of VAE-approx, the WebUI brings its own files.)
    """
    made = []
    for directory in _LINKED:
        place = webui / "models" / directory
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.is_dir() and not place.is_symlink():
            place /= "sdfleet"
        if not place.is_symlink():
            place.symlink_to(models / directory, target_is_directory=True)
            made.append(place)
    return made


def extra_model_paths(models: Path) -> str:
    """The text of ComfyUI's `extra_model_paths.yaml` (its option --extra-model-paths-config).

    Folders that it has itself stay beside these.
    """
    lines = ["sdfleet:", f"  base_path: {_quoted(str(models))}"]
    for kind, directories in DIRECTORIES.items():
        lines.append(f"  {kind.value}: |")
        lines += [f"    {directory}" for directory in directories]
    return "\n".join([*lines, ""])


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
