"""The AMI's component documents, and the linter that finds what is wrong with one."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sdfleet_cli.component_documents import DIRECTORY, complaints, documents

_ROOT = Path(__file__).resolve().parents[2]
_SOUND = """\
name: sdfleet-test
description: what a test needs
schemaVersion: 1.0
phases:
  - name: build
    steps:
      - name: Work
        action: ExecuteBash
        inputs:
          commands:
            - |
              set -euo pipefail
              echo "$HOME"
"""


def found(tmp_path: Path, document: str) -> list[str]:
    file = tmp_path / "component.yaml"
    file.write_text(document)
    return [complaint.removeprefix(f"{file}: ") for complaint in complaints(_ROOT, [file])]


def test_every_document_is_sound() -> None:
    assert len(documents(_ROOT)) >= 10
    assert complaints(_ROOT, documents(_ROOT)) == []


def test_the_example_that_is_broken_below_is_sound(tmp_path: Path) -> None:
    assert found(tmp_path, _SOUND) == []


@pytest.mark.parametrize(
    ("right", "wrong", "complaint"),
    [
        (
            "action: ExecuteBash",
            "action: ExecuteBush",
            r"\$\.phases\[0\]\.steps\[0\]\.action: 'ExecuteBush' is not one",
        ),
        ("description: what a test needs\n", "", "'description' is a required property"),
        ("name: build", "name: deploy", "'deploy' is not one of"),
        ("schemaVersion: 1.0", "schemaVersion: 2.0", "1.0 was expected"),
        ("name: sdfleet-test\n", "name: sdfleet-test\nsteps: []\n", "'steps' was unexpected"),
        ("phases:", "phases: [", "no YAML"),
        ("set -euo pipefail\n", "set -e\n", "begins without `set -euo pipefail`"),
        ('echo "$HOME"', "echo {{ Nothing }}", r"\{\{ Nothing \}\} is no parameter"),
        ('echo "$HOME"', "docker ps --format '{{.Names}}'", r"\{\{ \.Names \}\} is no parameter"),
        ('echo "$HOME"', f"echo {'x' * 16_000}", "Image Builder takes 16000"),
        ("phases:", "parameters: [{Spare: {type: string, description: d}}]\nphases:", "Spare is not used"),
    ],
)
def test_what_is_wrong_with_a_document_is_said(tmp_path: Path, right: str, wrong: str, complaint: str) -> None:
    assert right in _SOUND
    assert re.search(complaint, "\n".join(found(tmp_path, _SOUND.replace(right, wrong, 1))))


@pytest.mark.skipif(not (Path(sys.executable).parent / "shellcheck").exists(), reason="shellcheck is not installed")
@pytest.mark.parametrize(
    "command", ["cd /nowhere/$1/x; rm -rf *", "if true; then echo", "for file in $(ls); do :; done"]
)
def test_commands_that_shellcheck_objects_to_are_found(tmp_path: Path, command: str) -> None:
    assert any("SC" in complaint for complaint in found(tmp_path, _SOUND.replace('echo "$HOME"', command)))


def test_two_steps_of_a_phase_have_two_names(tmp_path: Path) -> None:
    step = _SOUND[_SOUND.index("      - name: Work") :]
    assert found(tmp_path, _SOUND + step) == ["two steps of build are called Work"]


def test_the_program_fails_with_a_broken_document_and_names_it(tmp_path: Path) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(_SOUND.replace("ExecuteBash", "ExecuteBush"))
    words = [sys.executable, "-m", "sdfleet_cli.component_documents", str(file)]
    ran = subprocess.run(words, cwd=_ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert ran.stdout.startswith(f"{file}: ")


@pytest.mark.parametrize("recipe", ["recipe.yaml", "recipe-neuron.yaml"])
def test_a_recipe_names_documents_that_are_there(recipe: str) -> None:
    named = yaml.safe_load((_ROOT / DIRECTORY / recipe).read_text())
    for folder in ("components", "tests"):
        assert named[folder]
        for name in named[folder]:
            assert (_ROOT / DIRECTORY / folder / f"{name}.yaml").is_file()
    assert named["components"][-1] == "clean-up"
    assert named["parentImage"].startswith("ssm:/aws/service/")


def test_every_document_is_in_a_recipe() -> None:
    recipes = [yaml.safe_load(file.read_text()) for file in (_ROOT / DIRECTORY).glob("recipe*.yaml")]
    used = {
        f"{folder}/{name}.yaml" for recipe in recipes for folder in ("components", "tests") for name in recipe[folder]
    }
    assert used == {str(file.relative_to(_ROOT / DIRECTORY)) for file in documents(_ROOT)}


def programs(test: str) -> list[str]:
    """The Python that a test document runs in a container."""
    text = (_ROOT / DIRECTORY / "tests" / f"{test}.yaml").read_text()
    script = yaml.safe_load(text)["phases"][0]["steps"][-1]["inputs"]["commands"][0]
    return re.findall(r"<<'PYTHON'\n(.*?)\nPYTHON\n", script, re.DOTALL)


def test_the_picture_that_the_ami_is_tested_with_can_be_made() -> None:
    (program,) = programs("test-pattern")
    ran = subprocess.run([sys.executable, "-"], input=program, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert re.fullmatch(r"a picture of \d{3,} bytes\n", ran.stdout)


async def test_the_ami_is_refused_where_a_container_reaches_the_metadata_service(tmp_path: Path) -> None:
    (program,) = programs("isolation")
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        reached = program.replace('("169.254.169.254", 80)', f'("127.0.0.1", {port})')
        assert reached != program
        assert await exit_status(reached) == 1
    # Nothing listens there any more.
    assert await exit_status(reached) == 0


async def exit_status(program: str) -> int:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    return await process.wait()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_has_no_complaint_about_the_units(tmp_path: Path) -> None:
    boot_files = _ROOT / "cdk/sdfleet_cdk/boot_files"
    for file in boot_files.iterdir():
        if file.suffix in (".service", ".path", ".target"):
            # Their programs are not on this machine.
            text = re.sub(r"/usr/(local/lib/sdfleet|bin)/\S+", "/bin/true", file.read_text())
            (tmp_path / file.name).write_text(text)
    units = sorted(str(file) for file in tmp_path.iterdir())
    ran = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    # Units of Docker's and AWS's are not on this machine either; what is wrong with ours is said with its path.
    ours = [line for line in ran.stderr.splitlines() if "docker.service" not in line and "dlami" not in line]
    assert ours == []
