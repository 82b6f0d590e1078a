from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sdfleet_cli import bootstrap
from sdfleet_cli.bootstrap import BootstrapFailed


@dataclass
class Checkout:
    """A checkout whose environment and pip are played."""

    root: Path
    pip_calls: list[str] = field(default_factory=list)
    environments_made: int = 0
    works: bool = False
    breaks_at: str | None = None

    def make_venv(self) -> None:
        self.environments_made += 1
        self.works = True
        bootstrap.VENV.mkdir(exist_ok=True)
        bootstrap.STAMP.unlink(missing_ok=True)
        bootstrap.BEGUN.unlink(missing_ok=True)

    def pip(self, *arguments: str, expected: int) -> None:
        self.pip_calls.append(" ".join(arguments))
        if self.breaks_at is not None and self.breaks_at in self.pip_calls[-1]:
            raise BootstrapFailed("pip could not install the requirements.")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "dev.txt").write_text("click==8.4.0 --hash=sha256:0\n")
    (tmp_path / "requirements" / "pip.txt").write_text("pip==26.3 --hash=sha256:2\n")
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    checkout = Checkout(tmp_path)
    places: dict[str, Path] = {
        "ROOT": tmp_path,
        "VENV": tmp_path / ".venv",
        "STAMP": tmp_path / ".venv" / "stamp",
        "BEGUN": tmp_path / ".venv" / "begun",
        "PIP_REQUIREMENT": tmp_path / "requirements" / "pip.txt",
        "REQUIREMENTS": tmp_path / "requirements" / "dev.txt",
    }
    played: dict[str, Callable[..., object]] = {
        "_create_venv": checkout.make_venv,
        "_pip": checkout.pip,
        "_compile": lambda: None,
        "_works": lambda: checkout.works,
    }
    for name, value in {**places, **played}.items():
        monkeypatch.setattr(bootstrap, name, value)
    return checkout


def test_the_first_run_installs_the_pinned_requirements_then_the_project(checkout: Checkout) -> None:
    assert bootstrap.main() == 0
    assert checkout.environments_made == 1
    first, second, third = checkout.pip_calls
    assert first.endswith("--require-hashes -r " + str(bootstrap.PIP_REQUIREMENT))
    assert second.endswith("--require-hashes -r " + str(bootstrap.REQUIREMENTS))
    assert "--no-deps --no-build-isolation -e" in third


def test_the_next_run_installs_nothing(checkout: Checkout) -> None:
    bootstrap.main()
    checkout.pip_calls.clear()
    assert bootstrap.main() == 0
    assert (checkout.environments_made, checkout.pip_calls) == (1, [])


def test_changed_requirements_are_installed_into_the_same_environment(checkout: Checkout) -> None:
    bootstrap.main()
    bootstrap.REQUIREMENTS.write_text("click==8.5.0 --hash=sha256:1\n")
    bootstrap.main()
    assert (checkout.environments_made, len(checkout.pip_calls)) == (1, 6)


def test_an_interrupted_installation_begins_again(checkout: Checkout, capsys: pytest.CaptureFixture[str]) -> None:
    checkout.breaks_at = "--require-hashes"
    assert bootstrap.main() == 1
    assert capsys.readouterr().err.splitlines() == ["Error: pip could not install the requirements."]
    checkout.breaks_at = None
    assert bootstrap.main() == 0
    assert checkout.environments_made == 2
    assert bootstrap.STAMP.is_file()


def test_a_checkout_that_was_moved_gets_a_new_environment(checkout: Checkout) -> None:
    bootstrap.main()
    bootstrap.STAMP.write_text(bootstrap.STAMP.read_text().replace(str(checkout.root), "/elsewhere"))
    bootstrap.main()
    assert checkout.environments_made == 2


def test_a_broken_environment_is_made_anew(checkout: Checkout) -> None:
    bootstrap.main()
    checkout.works = False
    bootstrap.main()
    assert checkout.environments_made == 2


def test_a_link_is_replaced_and_what_it_points_at_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "kept").touch()
    venv = tmp_path / ".venv"
    venv.symlink_to(theirs)
    monkeypatch.setattr(bootstrap, "VENV", venv)
    bootstrap._create_venv()
    assert (theirs / "kept").exists()
    assert (venv / "pyvenv.cfg").is_file()
    assert not venv.is_symlink()
