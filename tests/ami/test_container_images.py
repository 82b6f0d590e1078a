"""The Dockerfiles, and the programs with which the runtimes' containers start. No container engine is needed."""

from __future__ import annotations

import json
import os
import re
import shutil
import site
import subprocess
import sys
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import pytest

from images.comfyui import start as comfyui
from images.sdwebui import start as sdwebui
from images.wait_for_models import wait

_ROOT = Path(__file__).resolve().parents[2]
_DOCKERFILES = sorted((_ROOT / "scheduler").rglob("Dockerfile"))
_RUNTIMES = {"sdwebui": 7860, "comfyui": 8188}
_MODELS = {"SDFLEET_MODELS": "/var/lib/sdfleet/models"}
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)


def test_there_is_an_image_for_the_scheduler_each_runtime_of_ours_and_an_example() -> None:
    assert [str(file.parent.relative_to(_ROOT)) for file in _DOCKERFILES] == [
        "scheduler", "scheduler/images/comfyui", "scheduler/images/custom", "scheduler/images/sdwebui",
    ]  # fmt: skip


@pytest.mark.parametrize("dockerfile", _DOCKERFILES, ids=lambda file: file.parent.name)
def test_an_image_is_no_root_says_how_it_is_and_under_what_licence(dockerfile: Path) -> None:
    last_stage = dockerfile.read_text().rpartition("\nFROM ")[2]
    users = re.findall(r"^USER (.+)$", last_stage, re.MULTILINE)
    assert users
    assert all(re.fullmatch(r"[1-9]\d+:[1-9]\d+", user) for user in users)
    assert "\nHEALTHCHECK " in last_stage
    assert "org.opencontainers.image.licenses=" in last_stage
    # As an argument vector: what is signalled is the server, not a shell.
    assert '\nENTRYPOINT ["' in last_stage


@pytest.mark.parametrize("dockerfile", _DOCKERFILES, ids=lambda file: file.parent.name)
def test_the_base_is_pinned_by_its_digest_and_can_be_another(dockerfile: Path) -> None:
    text = dockerfile.read_text()
    bases = {re.search(r"^ARG BASE=(.+)$", file.read_text(), re.MULTILINE) for file in _DOCKERFILES}
    assert len({base[1] for base in bases if base}) == 1
    assert re.search(r"^ARG BASE=python@sha256:[0-9a-f]{64}$", text, re.MULTILINE)
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {"${BASE}"}


@pytest.mark.parametrize("dockerfile", _DOCKERFILES, ids=lambda file: file.parent.name)
def test_wherever_packages_are_installed_pip_may_have_settings_that_stay_out_of_the_image(dockerfile: Path) -> None:
    steps = re.findall(r"^RUN (.*?[^\\])$", dockerfile.read_text(), re.MULTILINE | re.DOTALL)
    installing = [step for step in steps if "pip" in step and ("install-plugins" in step or " install " in step)]
    assert all("--mount=type=secret,id=pip-config,target=/etc/pip.conf" in step for step in installing)
    assert bool(installing) == (dockerfile.parent.name != "custom")


@pytest.mark.parametrize("dockerfile", _DOCKERFILES, ids=lambda file: file.parent.name)
def test_packages_are_pinned_by_hash_and_repositories_by_commit(dockerfile: Path) -> None:
    text = dockerfile.read_text()
    for install in re.findall(r"pip (?:--python \S+ )?install(.*?)(?:\n(?![ \t])|&&)", text, re.DOTALL):
        assert "--require-hashes" in install or "--no-deps" in install
    for repository in re.findall(r"https://github\.com/[\w.-]+/[\w.-]+(\S*)(?=\s*\\?\n *(?:https|&&|mv|$))", text):
        assert re.fullmatch(r"@[0-9a-f]{40}|\"", repository), repository


def test_the_schedulers_image_has_the_packages_that_the_tests_run_with_and_no_others() -> None:
    image, tested = (
        dict(_PIN.findall((_ROOT / f"requirements/{name}.txt").read_text())) for name in ("scheduler", "dev")
    )
    assert {name: tested.get(name) for name in image} == image
    assert not {"pytest", "mypy", "moto", "ruff", "aws-cdk-lib", "pyyaml"} & set(image)


@pytest.mark.parametrize("runtime", _RUNTIMES)
def test_a_runtimes_program_starts_with_the_files_that_its_image_copies(runtime: str, tmp_path: Path) -> None:
    copied(_ROOT / f"scheduler/images/{runtime}/Dockerfile", to=tmp_path)
    ran = python(f"import images.{runtime}.start", path=[tmp_path])
    assert ran.returncode == 0, ran.stderr


def test_the_scheduler_starts_with_the_files_that_its_image_copies(tmp_path: Path) -> None:
    copied(_ROOT / "scheduler/Dockerfile", to=tmp_path)
    # The checkout's own modules would hide a missing file.
    ran = python(
        "import sdfleet_scheduler.__main__ as main, sys; print(main.__file__, *sorted(sys.modules))",
        path=[tmp_path, *map(Path, site.getsitepackages())],
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith(str(tmp_path))
    assert "sdfleet.config" not in ran.stdout.split()


def test_the_context_of_a_build_has_what_the_images_copy() -> None:
    allowed = [line[1:] for line in (_ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for dockerfile in _DOCKERFILES:
        for source, _ in copies(dockerfile):
            assert (_ROOT / source).exists()
            assert any(source == one or source.startswith(f"{one}/") for one in allowed), source


def test_the_webui_reads_the_model_directory_without_mmap_and_listens_in_its_container(tmp_path: Path) -> None:
    words = sdwebui.command({**_MODELS, "SDFLEET_PORT": "7861"}, ["--medvram"])
    assert ("--ckpt-dir", "/var/lib/sdfleet/models/Stable-diffusion") in pairwise(words)
    assert ("--port", "7861") in pairwise(words)
    assert {"--api", "--listen", "--skip-prepare-environment"} <= set(words)
    assert words[-1] == "--medvram"
    sdwebui.write_settings(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text()) == {"disable_mmap_load_safetensors": True}


def test_settings_that_an_image_brings_are_kept(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"samples_format": "webp", "disable_mmap_load_safetensors": false}')
    sdwebui.write_settings(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text()) == {
        "samples_format": "webp",
        "disable_mmap_load_safetensors": False,
    }


def test_comfyui_reads_the_model_directory_without_mmap_and_listens_in_its_container() -> None:
    words = comfyui.command({**_MODELS, "SDFLEET_PORT": "8189"}, ["--lowvram"])
    assert ("--port", "8189") in pairwise(words)
    assert ("--listen", "0.0.0.0") in pairwise(words)
    assert {"--disable-mmap", "--extra-model-paths-config"} <= set(words)
    assert words[-1] == "--lowvram"


def test_a_server_waits_for_what_it_reads_at_its_start_and_only_if_told_to(tmp_path: Path) -> None:
    synced = tmp_path / ".synced"
    assert wait({}, patience_s=0)
    assert not wait({"SDFLEET_WAIT_FOR": str(synced)}, patience_s=0)
    synced.touch()
    assert wait({"SDFLEET_WAIT_FOR": str(synced)}, patience_s=0)


def test_a_repository_comes_as_it_was_at_the_commit(tmp_path: Path) -> None:
    commit = a_repository(tmp_path / "served" / "plugin", then_changed=True)
    ran = checkout(tmp_path, f"https://git.example/plugin@{commit}")
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "here" / "plugin" / "node.py").read_text() == "first"
    assert not (tmp_path / "here" / "plugin" / ".git").exists()


@pytest.mark.parametrize(
    "pin", ["https://git.example/plugin@main", "https://git.example/plugin", "git@git.example:plugin"]
)
def test_a_repository_without_a_full_commit_is_refused(tmp_path: Path, pin: str) -> None:
    ran = checkout(tmp_path, pin)
    assert ran.returncode == 2
    assert "full commit" in ran.stderr


def test_a_plugin_is_installed_with_the_image_and_leaves_torch_alone(tmp_path: Path) -> None:
    node = tmp_path / "custom_nodes" / "node"
    node.mkdir(parents=True)
    (node / "requirements.txt").write_text("opencv-python\n")
    (node / "install.py").touch()
    # Without either: nothing to do.
    (tmp_path / "custom_nodes" / "plain").mkdir()
    calls = installed(tmp_path, status=0)
    assert calls[0].endswith(":-m pip freeze")
    assert re.fullmatch(
        rf".*:-m pip install --no-cache-dir --constraint (\S+) --requirement {node}/requirements.txt", calls[1]
    )
    assert calls[2:] == [f"{node}:install.py"]
    assert (tmp_path / "constraint").read_text() == "torch==2.9.1\n"


def test_a_plugin_that_cannot_be_installed_fails_the_build(tmp_path: Path) -> None:
    node = tmp_path / "custom_nodes" / "node"
    node.mkdir(parents=True)
    (node / "requirements.txt").touch()
    with pytest.raises(subprocess.CalledProcessError):
        installed(tmp_path, status=1)


def installed(place: Path, *, status: int) -> list[str]:
    """How Python was called, and in which directory; it ends with `status` when it is to install something."""
    stand_in = place / "bin" / "python3"
    stand_in.parent.mkdir()
    stand_in.write_text(f"""\
#!/bin/sh
echo "$PWD:$*" >>{place}/calls
case $* in
*freeze) printf 'torch==2.9.1\\nnumpy==2.0.0\\n' ;;
*constraint*) cp "$6" {place}/constraint; exit {status} ;;
esac
""")
    stand_in.chmod(0o755)
    script = _ROOT / "scheduler/images/install-plugins.sh"
    environment = {**os.environ, "PATH": f"{stand_in.parent}:/usr/bin:/bin"}
    subprocess.run(["sh", script, f"{place}/custom_nodes"], env=environment, capture_output=True, check=True)
    return (place / "calls").read_text().splitlines()


def test_hadolint_has_no_complaint() -> None:
    hadolint = shutil.which("hadolint") or str(Path(sys.executable).parent / "hadolint")
    if not Path(hadolint).exists():
        assert os.environ.get("CI", "").lower() != "true", "hadolint is not installed."
        pytest.skip("hadolint is not installed")
    ran = subprocess.run([hadolint, *_DOCKERFILES], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout


def copies(dockerfile: Path) -> list[tuple[str, str]]:
    """What comes from the context, and where to."""
    lines = re.findall(r"^COPY (?!--from)(.+)$", dockerfile.read_text(), re.MULTILINE)
    return [(source, line.split()[-1]) for line in lines for source in line.split()[:-1]]


def copied(dockerfile: Path, *, to: Path) -> None:
    for source, target in copies(dockerfile):
        _, is_ours, place = target.partition("/opt/sdfleet/app/")
        if not is_ours:
            continue
        if (_ROOT / source).is_dir():
            shutil.copytree(_ROOT / source, to / place, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (to / place).mkdir(parents=True, exist_ok=True)
            shutil.copy(_ROOT / source, to / place)


def python(code: str, *, path: list[Path]) -> subprocess.CompletedProcess[str]:
    """`code` in an interpreter that finds nothing but `path`."""
    environment = {"PYTHONPATH": os.pathsep.join(map(str, path)), "PATH": os.environ["PATH"]}
    return subprocess.run(
        [sys.executable, "-S", "-c", code], env=environment, capture_output=True, text=True, check=False
    )


def a_repository(place: Path, *, then_changed: bool) -> str:
    """Its first commit."""
    place.mkdir(parents=True)
    git(place, "init", "--quiet")
    git(place, "config", "uploadpack.allowAnySHA1InWant", "true")
    commits = []
    for content in ("first", "second") if then_changed else ("first",):
        (place / "node.py").write_text(content)
        git(place, "add", ".")
        git(place, "-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "--quiet", "-m", content)
        commits.append(git(place, "rev-parse", "HEAD").strip())
    return commits[0]


def git(place: Path, *words: str, environment: Mapping[str, str] = os.environ) -> str:
    return subprocess.run(
        ["git", *words], cwd=place, env=environment, capture_output=True, text=True, check=True
    ).stdout


def checkout(place: Path, pin: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{place}/served/.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://git.example/",
    }
    script = _ROOT / "scheduler/images/checkout.sh"
    return subprocess.run(
        ["sh", script, str(place / "here"), pin], env=environment, capture_output=True, text=True, check=False
    )
