"""`sdfleet`: parses, calls, prints."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

import click

from sdfleet_cli.console import HELP_NAMES

#: Module in `sdfleet_cli.commands`, and the command's name there. Only what is run is loaded: all of them take seconds.
_COMMANDS: Mapping[str, str] = {
    "bench": "bench:bench",
    "boot-model": "boot_model:boot_model",
    "build-ami": "build_ami:build_ami",
    "build-images": "build_images:build_images",
    "callbacks": "callbacks:callbacks",
    "chaos": "chaos:chaos",
    "check-deployment-status": "releases:check_deployment_status",
    "config": "config:config_command",
    "cost": "cost:cost",
    "deploy": "deploy:deploy",
    "deploy-new-version": "releases:deploy_new_version",
    "destroy": "destroy:destroy",
    "launch-benchmark": "launch_benchmark:launch_benchmark",
    "list-deployments": "list_deployments:list_deployments",
    "local": "local:local",
    "promote": "releases:promote",
    "rehearse-releases": "rehearse:rehearse_releases",
    "rollback": "releases:rollback",
    "scale": "scale:scale",
    "simulate": "simulate:simulate",
    "spot": "spot:spot",
    "tour": "tour:tour",
    "transfer-images": "transfer_images:transfer_images",
    "upload-model": "upload_model:upload_model",
    "verify": "verify:verify",
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, name = _COMMANDS[cmd_name].split(":")
        command: click.Command = getattr(import_module(f"sdfleet_cli.commands.{module}"), name)
        return command


@click.group(cls=_Commands, context_settings=HELP_NAMES)
def main() -> None:
    """A fleet of GPU instances as an image-generation API."""


if __name__ == "__main__":
    main(prog_name="sdfleet")
