"""`sdfleet`: parses, calls, prints."""

from __future__ import annotations

import click

from sdfleet_cli.commands.bench import bench
from sdfleet_cli.commands.build_ami import build_ami
from sdfleet_cli.commands.build_images import build_images
from sdfleet_cli.commands.callbacks import callbacks
from sdfleet_cli.commands.chaos import chaos
from sdfleet_cli.commands.config import config_command
from sdfleet_cli.commands.cost import cost
from sdfleet_cli.commands.deploy import deploy
from sdfleet_cli.commands.destroy import destroy
from sdfleet_cli.commands.list_deployments import list_deployments
from sdfleet_cli.commands.local import local
from sdfleet_cli.commands.releases import check_deployment_status, deploy_new_version, promote, rollback
from sdfleet_cli.commands.spot import spot
from sdfleet_cli.commands.tour import tour
from sdfleet_cli.commands.transfer_images import transfer_images
from sdfleet_cli.commands.upload_model import upload_model
from sdfleet_cli.commands.verify import verify
from sdfleet_cli.console import HELP_NAMES


@click.group(context_settings=HELP_NAMES)
def main() -> None:
    """A fleet of GPU instances as an image-generation API."""


main.add_command(bench)
main.add_command(build_ami)
main.add_command(build_images)
main.add_command(callbacks)
main.add_command(chaos)
main.add_command(config_command)
main.add_command(cost)
main.add_command(deploy)
main.add_command(destroy)
main.add_command(list_deployments)
main.add_command(local)
main.add_command(check_deployment_status)
main.add_command(deploy_new_version)
main.add_command(promote)
main.add_command(rollback)
main.add_command(spot)
main.add_command(tour)
main.add_command(transfer_images)
main.add_command(upload_model)
main.add_command(verify)

if __name__ == "__main__":
    main(prog_name="sdfleet")
