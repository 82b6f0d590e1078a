"""What the commands print, and how they end."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Any

import click

from sdfleet.errors import ConfigError, DeploymentRefused, SdfleetError
from sdfleet_local.deployment import LocalDeployment, RefusedByState

HELP_NAMES: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class ExitStatus(IntEnum):
    DONE = 0
    FAILED = 1
    USAGE = 2
    REFUSED_BY_STATE = 3


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """Errors of ours as one line each and an exit status, never a traceback."""
    try:
        yield
    except (RefusedByState, DeploymentRefused) as error:
        _leave(error, ExitStatus.REFUSED_BY_STATE)
    except ConfigError as error:
        _leave(error, ExitStatus.USAGE)
    except SdfleetError as error:
        _leave(error, ExitStatus.FAILED)
    except KeyboardInterrupt:
        click.echo("Interrupted; nothing is left running.", err=True)
        sys.exit(130)


def _leave(error: SdfleetError, status: ExitStatus) -> None:
    for line in str(error).splitlines():
        click.echo(f"Error: {line}", err=True)
    sys.exit(status)


def local_deployment() -> LocalDeployment:
    return LocalDeployment(checkout_root())


def checkout_root() -> Path:
    """The checkout that the command belongs to: the scripts name it, else the directory or its venv tells."""
    if named := os.environ.get("SDFLEET_ROOT"):
        return Path(named)
    here = Path.cwd()
    for candidate in (here, *here.parents, Path(sys.prefix).parent):
        if (candidate / "deploy.sh").is_file() and (candidate / "pyproject.toml").is_file():
            return candidate
    return here


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their longest entry, two spaces between them."""
    if not rows:
        return ""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
