"""Tells both runtimes where the models are: one directory, in the layout of the model bucket."""

from __future__ import annotations

from pathlib import Path

from sdfleet.domain.models import DIRECTORIES, SEED_DIRECTORIES

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

    A folder that is there already keeps what it has: files and subfolders are linked into it one by one.
    """
    made = []
    for directory in _LINKED:
        place = webui / "models" / directory
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists() and not place.is_symlink():
            place.symlink_to(models / directory, target_is_directory=True)
            made.append(place)
        elif place.is_dir() and not place.is_symlink():
            inside = place / "sdfleet"
            if not inside.is_symlink():
                inside.symlink_to(models / directory, target_is_directory=True)
                made.append(inside)
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


def make_directories(models: Path) -> None:
    """All of them, empty or not: the servers know only those that are there when they start."""
    for directory in {*SEED_DIRECTORIES, *(name for names in DIRECTORIES.values() for name in names)}:
        (models / directory).mkdir(parents=True, exist_ok=True)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
