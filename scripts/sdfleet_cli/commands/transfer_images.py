"""`sdfleet transfer-images`."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass

import click

from sdfleet.aws.account import identify
from sdfleet.aws.clients import Clients
from sdfleet.aws.container_registry import ContainerRegistry, RegistryLogin
from sdfleet.errors import DeploymentError
from sdfleet_cli.console import HELP_NAMES, plain_errors

#: The first that is there: the former two copy between registries without a disk's worth of layers in between.
_TOOLS = ("skopeo", "crane", "docker", "podman")
_DEFAULT_PREFIX = "sdfleet"


@dataclass(frozen=True)
class Transfer:
    source: str
    repository: str
    tag: str

    def target(self, registry: str) -> str:
        return f"{registry}/{self.repository}:{self.tag}"


@click.command("transfer-images", context_settings=HELP_NAMES)
@click.argument("images", nargs=-1, required=True)
@click.option("-R", "--region", metavar="REGION", help="Region of the registry.  [default: the profile's]")
@click.option("--prefix", default=_DEFAULT_PREFIX, show_default=True, help="What the repositories' names begin with.")
@click.option("--tag", metavar="TAG", help="Tag in the registry.  [default: the image's own]")
@click.option("-d", "--dry-run", is_flag=True, help="Say what would be copied, and copy nothing.")
def transfer_images(images: tuple[str, ...], region: str | None, prefix: str, tag: str | None, dry_run: bool) -> None:
    """Copy container images from any OCI registry into the account's ECR, as China's regions need it.

    IMAGES are references such as public.ecr.aws/team/sdwebui:1.2. Run it where both registries can be reached. skopeo,
    crane, docker or podman does the copying. A tag that is there already stays as it is.
    """
    with plain_errors():
        transfers = [_transfer(image, prefix, tag) for image in images]
        clients = Clients(region=region)
        account = identify(clients)
        if dry_run:
            for one in transfers:
                click.echo(f"Would copy {one.source} to {one.target(account.registry)}")
            return
        tool = _tool()
        registry = ContainerRegistry(clients.ecr)
        access: RegistryLogin | None = None
        for one in transfers:
            registry.ensure_repository(one.repository, deployment_id=None)
            if registry.digest(one.repository, one.tag) is None:
                click.echo(f"{one.source} -> {one.target(account.registry)} ({tool})")
                access = access or _logged_in(tool, registry.login(), account.registry)
                _copy(tool, one.source, one.target(account.registry))
            digest = registry.digest(one.repository, one.tag)
            if digest is None:
                raise DeploymentError(f"{one.repository}:{one.tag} is not in ECR after the copy; see what {tool} says.")
            click.echo(f"{one.target(account.registry)} is there: {digest}")
        click.echo("\nName them in the configuration, in modelsRuntime[].images: runtime and scheduler.")


def _transfer(image: str, prefix: str, tag: str | None) -> Transfer:
    path, _, digest = image.partition("@")
    before, slash, last = path.rpartition("/")
    name, _, own_tag = last.partition(":")
    if not name or not (own_tag or tag or digest):
        raise DeploymentError(f"{image} names no version; add one, such as {image}:latest.")
    if not (own_tag or tag):
        raise DeploymentError(f"{image} has a digest but no tag; give it one with --tag.")
    return Transfer(
        f"{before}{slash}{last}{'@' + digest if digest else ''}", f"{prefix}/{name}".lower(), tag or own_tag
    )


def _tool() -> str:
    found = next((name for name in _TOOLS if shutil.which(name)), None)
    if found is None:
        raise DeploymentError(f"One of {', '.join(_TOOLS)} is needed to copy images; install one.")
    return found


def _logged_in(tool: str, access: RegistryLogin, registry: str) -> RegistryLogin:
    verb = ("auth", "login") if tool == "crane" else ("login",)
    _run([tool, *verb, "--username", access.username, "--password-stdin", registry], given=access.password)
    return access


def _copy(tool: str, source: str, target: str) -> None:
    if tool == "skopeo":
        # Instances are amd64; a list of all processors' images would take the others too.
        _run([tool, "copy", "--override-os=linux", "--override-arch=amd64", f"docker://{source}", f"docker://{target}"])
    elif tool == "crane":
        _run([tool, "copy", "--platform=linux/amd64", source, target])
    else:
        _run([tool, "pull", "--platform=linux/amd64", source])
        _run([tool, "tag", source, target])
        _run([tool, "push", target])


def _run(command: list[str], *, given: str | None = None) -> None:
    done = subprocess.run(command, input=given, text=True, env=os.environ, check=False)
    if done.returncode:
        raise DeploymentError(
            f"{command[0]} {command[1]} failed (exit status {done.returncode}); see what it says above."
        )
