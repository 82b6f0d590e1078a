"""`sdfleet destroy`."""

from __future__ import annotations

import click

from sdfleet_cli.console import HELP_NAMES, local_deployment, plain_errors


@click.command(context_settings=HELP_NAMES)
@click.option("--local", "is_local", is_flag=True, help="Stop what runs on this machine and delete all of it.")
@click.option("--dry-run", is_flag=True, help="Say what would be stopped, and stop nothing.")
def destroy(is_local: bool, dry_run: bool) -> None:
    """Remove the deployment: the one on this machine with --local."""
    if not is_local:
        raise click.UsageError("this version deploys local mode only: ./destroy.sh --local")
    deployment = local_deployment()
    with plain_errors(), deployment.exclusively():
        if dry_run:
            state = deployment.directory.read_state()
            count = 0 if state is None else 1 + len(state.children)
            click.echo(f"Would stop {count} processes and delete {deployment.directory.path} (nothing was stopped).")
            return
        was_there = deployment.stop()
    click.echo("Local mode has been stopped; nothing is left." if was_there else "Local mode is not running.")
