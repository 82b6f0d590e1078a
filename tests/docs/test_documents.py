"""The documents are true: their links lead somewhere, their commands exist, the reference is current."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from sdfleet_cli.reference import reference

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*/README.md")])
#: `[text](target)`, but not an image's or a code span's.
LINK = re.compile(r"\[[^\]`]+\]\(([^)\s]+)\)")
COMMAND_BLOCK = re.compile(r"```bash\n(.*?)```", re.DOTALL)


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_every_link_leads_to_a_file(document: Path) -> None:
    targets = [target for target in LINK.findall(document.read_text()) if not target.startswith(("http", "#"))]
    missing = [target for target in targets if not (document.parent / target.split("#")[0]).exists()]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_every_script_that_a_command_names_is_there_and_executable(document: Path) -> None:
    blocks = "\n".join(COMMAND_BLOCK.findall(document.read_text()))
    scripts = re.findall(r"^(?:\./)?((?:scripts/)?[\w-]+\.sh)\b", blocks, re.MULTILINE)
    assert [script for script in scripts if not (ROOT / script).stat().st_mode & 0o100] == []


def test_the_readme_has_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text()
    assert "./deploy.sh --local\n" in text
    assert "scripts/test.sh\n" in text


def test_the_command_line_reference_is_current() -> None:
    assert (ROOT / "docs" / "reference" / "cli.md").read_text() == reference(), "run: python -m sdfleet_cli.reference"


def test_every_decision_is_listed() -> None:
    index = (ROOT / "docs" / "adr" / "README.md").read_text()
    assert [file.name for file in (ROOT / "docs" / "adr").glob("0*.md") if file.name not in index] == []


def test_the_changelog_has_room_for_what_is_not_released() -> None:
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text()


def test_make_explains_itself() -> None:
    text = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert [line.split()[0] for line in text.splitlines()] == targets


def test_no_registry_is_named_anywhere() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    hosts = re.compile(r"pypi\.org|pythonhosted|npmjs|debian\.org|index-url\s+http", re.IGNORECASE)
    naming = [
        file
        for file in listed.splitlines()
        if file != "tests/docs/test_documents.py" and hosts.search((ROOT / file).read_text(errors="ignore"))
    ]
    assert naming == []


def test_every_requirement_is_pinned_by_hash() -> None:
    entries = (ROOT / "requirements" / "dev.txt").read_text().replace("\\\n", "").splitlines()
    pins = [entry for entry in entries if entry.strip() and not entry.strip().startswith("#")]
    assert pins
    assert [pin for pin in pins if "==" not in pin or "--hash=sha256:" not in pin] == []


def test_every_direct_dependency_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    pinned = (ROOT / "requirements" / "dev.txt").read_text().lower()
    names = {re.split(r"[\[<>=]", one, maxsplit=1)[0].lower().replace("_", "-") for one in wanted} - {"sdfleet"}
    assert {name for name in names if f"{name}==" not in pinned and f"{name}[" not in pinned} == set()
