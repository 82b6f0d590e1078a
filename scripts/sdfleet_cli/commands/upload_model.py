"""`sdfleet upload-model`."""

from __future__ import annotations

from pathlib import Path

import click

from sdfleet.aws.clients import Clients
from sdfleet.aws.model_uploads import ModelUploads
from sdfleet.config import load
from sdfleet.errors import DeploymentError
from sdfleet_cli.console import HELP_NAMES, checkout_root, plain_errors
from sdfleet_cli.deployment.model_layout import FOLDERS, Placed, placed_files
from sdfleet_cli.deployment.model_steps import Reporter
from sdfleet_cli.deployment.model_transfer import read_file, upload
from sdfleet_cli.deployment.place import LOCAL, find_place
from sdfleet_cli.reach import reach


@click.command("upload-model", context_settings=HELP_NAMES)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--folder", type=click.Choice(FOLDERS), help="What it is: the bucket's folder.  [default: a directory's own]"
)
@click.option("--name", metavar="NAME", help="Name in the bucket, for a single file.  [default: its own]")
@click.option(
    "-n", "--deployment", "deployment_id", metavar="ID", help="Whose model bucket.  [default: the configuration's]"
)
@click.option("-b", "--bucket", metavar="NAME", help="The model bucket itself, instead of a deployment's.")
@click.option("-R", "--region", metavar="REGION", help="AWS region.  [default: the deployment's]")
@click.option("-d", "--dry-run", is_flag=True, help="Say what would go where, and send nothing.")
def upload_model(
    files: tuple[Path, ...],
    folder: str | None,
    name: str | None,
    deployment_id: str | None,
    bucket: str | None,
    region: str | None,
    dry_run: bool,
) -> None:
    """Put model files into the model bucket.

    FILES are files, with --folder, or directories that are laid out like the bucket: Stable-diffusion/, Lora/, VAE/ and
    so on. Files go in parts; an upload that was broken off goes on where it was. What is there already stays.
    """
    with plain_errors():
        placed = placed_files(files, folder=folder, name=name)
        clients, found = _destination(deployment_id, bucket, region)
        uploads = ModelUploads(clients.s3, found)
        for one in placed:
            _send(one, uploads, is_dry=dry_run)


def _destination(deployment_id: str | None, bucket: str | None, region: str | None) -> tuple[Clients, str]:
    """Raises:
    DeploymentError: the deployment has no model bucket.
    """
    if deployment_id == LOCAL:
        file = checkout_root() / "config" / "config.yaml"
        configured = load(file).model_bucket if file.is_file() else None
        local = bucket or configured
        if local is None:
            raise DeploymentError(f"Local mode has no model bucket: set modelBucketArn in {file} and start it again.")
        return reach(LOCAL, region).clients, local
    if bucket is not None:
        return Clients(region=region), bucket
    place = find_place(deployment_id=deployment_id, region=region)
    name = place.journal.result("models", "bucket")
    config = place.config
    name = name or (config.model_bucket if config is not None else None)
    if name is None:
        raise DeploymentError(f"{place.deployment_id} has no model bucket; name one with --bucket, or deploy it first.")
    return place.clients, name


def _send(one: Placed, uploads: ModelUploads, *, is_dry: bool) -> None:
    address = f"s3://{uploads.bucket}/{one.key}"
    size = one.size_bytes
    if uploads.size_of(one.key) == size:
        click.echo(f"{address} is there already")
        return
    if is_dry:
        click.echo(f"Would send {one.path} ({size} bytes) to {address}")
        return
    click.echo(f"{one.path} -> {address}")
    upload(read_file(one.path), uploads, one.key, on_progress=Reporter(size, lambda text: click.echo(f"  {text}")))
