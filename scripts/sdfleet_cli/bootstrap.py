"""Makes `.venv`: run by scripts/bootstrap.sh with the system's Python, so the standard library is all there is.

A stamp says that the installation is whole and for what; a mark says that one was begun.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / ".sdfleet-installed"
BEGUN = VENV / ".sdfleet-begun"
REQUIREMENTS = ROOT / "requirements" / "dev.txt"
PIP_REQUIREMENT = ROOT / "requirements" / "pip.txt"
#: Large, and used by a linter only: compiled when it is run. (A regular expression of compileall.)
NOT_COMPILED = "/site-packages/(sympy|mpmath|networkx|cfnlint|samtranslator|pip)/"


class BootstrapFailed(Exception):
    """One line that says what to do."""


def main() -> int:
    with_lock = os.open(ROOT, os.O_RDONLY)
    try:
        # A second first run waits for the first.
        fcntl.flock(with_lock, fcntl.LOCK_EX)
        _install_if_needed()
    except BootstrapFailed as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted; the next run begins again.\n")
        return 130
    finally:
        os.close(with_lock)
    return 0


def _install_if_needed() -> None:
    wanted = _fingerprint()
    if STAMP.is_file() and STAMP.read_text() == wanted and _works():
        return
    _say(f"Setting up {VENV} (the first run takes a minute or two):")
    _make_venv()
    BEGUN.touch()
    STAMP.unlink(missing_ok=True)
    # The pip of an older Python reads the index three times as long as its successor.
    _pip("install", "--no-deps", "--require-hashes", "-r", str(PIP_REQUIREMENT), expected=0)
    count = sum(1 for line in REQUIREMENTS.read_text().splitlines() if "==" in line)
    # Every package is named with its hash: there is nothing to resolve.
    _pip("install", "--no-deps", "--no-compile", "--require-hashes", "-r", str(REQUIREMENTS), expected=count)
    _say("  sdfleet itself")
    _pip("install", "--no-deps", "--no-build-isolation", "-e", str(ROOT), expected=0)
    _compile()
    STAMP.write_text(wanted)
    BEGUN.unlink()
    _say("  done")


def _compile() -> None:
    """All cores at once, where pip would take one; without it the first start would be the slow one."""
    _say("  compiling")
    command = [str(PYTHON), "-m", "compileall", "-q", "-j", "0", "-x", NOT_COMPILED, str(VENV / "lib")]
    # Some packages ship files of other Pythons, which do not compile; whoever imports one hears of it.
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def _make_venv() -> None:
    # What was interrupted may hold half a package that pip takes for a whole one. Scripts of a checkout that was
    # moved point at its old place.
    is_damaged = BEGUN.exists() or not _works() or (STAMP.is_file() and str(ROOT) not in STAMP.read_text())
    if is_damaged:
        _say("  Python environment")
        _create_venv()


def _create_venv() -> None:
    # What a link points at is somebody else's, and would be emptied.
    if VENV.is_symlink():
        VENV.unlink()
    made = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", str(VENV)], capture_output=True, text=True, check=False
    )
    if made.returncode:
        raise BootstrapFailed(
            f"{sys.executable} cannot make a virtual environment; install its venv module"
            " (Debian and Ubuntu: apt install python3-venv)."
        )


def _works() -> bool:
    """Whether the environment's Python runs and has its pip."""
    try:
        return subprocess.run([PYTHON, "-c", "import pip"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _pip(*arguments: str, expected: int) -> None:
    """Run pip, one line of progress for each package; its own words only if it fails."""
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--no-input"]
    command = [*pip, *arguments, "--progress-bar", "off"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    spoken = list(_progress(process, expected))
    if process.wait():
        for line in spoken[-15:]:
            sys.stderr.write(f"  pip: {line}")
        raise BootstrapFailed("pip could not install the requirements; its last lines stand above.")


def _progress(process: subprocess.Popen[str], expected: int) -> Iterator[str]:
    seen = 0
    for line in process.stdout or ():
        if line.startswith(("Collecting ", "Requirement already satisfied: ")) and expected:
            seen += 1
            name = line.split(": ")[-1].removeprefix("Collecting ").split("==")[0].split(" ")[0].strip()
            _say(f"  [{seen:3}/{expected}] {name}")
        elif line.startswith("Installing collected packages"):
            _say("  unpacking")
        yield line


def _fingerprint() -> str:
    """What the installation depends on, the place of the checkout included."""
    content = hashlib.sha256()
    for file in (PIP_REQUIREMENT, REQUIREMENTS, ROOT / "pyproject.toml"):
        content.update(file.read_bytes())
    return f"{content.hexdigest()} {sys.version_info.major}.{sys.version_info.minor} {ROOT}\n"


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
