"""One model directory, for both runtimes."""

from __future__ import annotations

from pathlib import Path

import yaml

from sdfleet.domain.models import SEED_DIRECTORIES, ModelKind
from sdfleet_scheduler.model_directories import extra_model_paths, link_into_webui, webui_arguments

MODELS = Path("/models of ours")


def test_comfyui_is_told_of_every_kind_of_models() -> None:
    (section,) = yaml.safe_load(extra_model_paths(MODELS)).values()
    assert section.pop("base_path") == str(MODELS)
    assert set(section) == set(ModelKind)
    assert section["checkpoints"].split() == ["Stable-diffusion", "checkpoints"]


def test_comfyui_sees_every_directory_of_the_documents_layout() -> None:
    (section,) = yaml.safe_load(extra_model_paths(MODELS)).values()
    told = {line for name, lines in section.items() if name != "base_path" for line in lines.split("\n") if line}
    assert set(SEED_DIRECTORIES) <= told


def test_the_webui_sees_every_directory_of_the_documents_layout(tmp_path: Path) -> None:
    arguments = webui_arguments(MODELS)
    flagged = {Path(value).name for value in arguments[1::2]}
    linked = {link.name for link in link_into_webui(MODELS, tmp_path)}
    assert flagged | linked == set(SEED_DIRECTORIES)
    assert arguments[:2] == ["--ckpt-dir", str(MODELS / "Stable-diffusion")]


def test_links_are_made_once(tmp_path: Path) -> None:
    link_into_webui(MODELS, tmp_path)
    assert link_into_webui(MODELS, tmp_path) == []


def test_a_folder_of_the_webui_keeps_what_it_has(tmp_path: Path) -> None:
    own = tmp_path / "models" / "ControlNet"
    own.mkdir(parents=True)
    (own / "canny.pth").write_bytes(b"x")
    models = tmp_path / "ours"
    (models / "ControlNet").mkdir(parents=True)
    link_into_webui(models, tmp_path)
    assert (own / "canny.pth").read_bytes() == b"x"
    assert (own / "sdfleet").resolve() == models / "ControlNet"
