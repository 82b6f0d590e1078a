"""The log lines of a local deployment's processes, each with the name of its file before it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

_POLL_S = 0.3


def lines(logs: Path) -> Iterator[str]:
    """What is there now, file by file."""
    for file in sorted(logs.glob("*.log")):
        for line in file.read_text(errors="replace").splitlines():
            yield _named(file, line)


def follow(logs: Path, is_running: Callable[[], bool]) -> Iterator[str]:
    """What is there, then what comes, until the deployment has ended."""
    positions: dict[Path, int] = {}
    while True:
        # Asked before reading: the last lines are written before the end.
        goes_on = is_running()
        for file in sorted(logs.glob("*.log")):
            yield from _new_lines(file, positions)
        if not goes_on:
            return
        time.sleep(_POLL_S)


def _new_lines(file: Path, positions: dict[Path, int]) -> Iterator[str]:
    try:
        with file.open("rb") as stream:
            stream.seek(positions.get(file, 0))
            text = stream.read()
    except FileNotFoundError:
        return
    # A line that is still being written comes the next time.
    whole = text[: text.rfind(b"\n") + 1]
    positions[file] = positions.get(file, 0) + len(whole)
    for line in whole.decode(errors="replace").splitlines():
        yield _named(file, line)


def _named(file: Path, line: str) -> str:
    return f"{file.stem} | {line}"
