"""`python -m sdfleet_local --root DIR --progress-fd N`: the supervisor; its plan comes on standard input."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from sdfleet.telemetry import logs
from sdfleet_local.plan import LocalPlan
from sdfleet_local.progress import ProgressWriter
from sdfleet_local.state_file import LocalDirectory
from sdfleet_local.supervisor import Supervisor


@click.command()
@click.option("--root", type=click.Path(path_type=Path), required=True)
@click.option("--progress-fd", type=int, required=True)
def main(root: Path, progress_fd: int) -> None:
    logs.configure()
    plan = LocalPlan.from_json(sys.stdin.read())
    sys.exit(Supervisor(plan, LocalDirectory(root), ProgressWriter(progress_fd)).run())


if __name__ == "__main__":
    main()
