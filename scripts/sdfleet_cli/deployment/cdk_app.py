"""Drives the CDK app: its command line for what changes the account, the app itself for a template."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from sdfleet.aws.stacks import Stack
from sdfleet.errors import DeploymentError
from sdfleet_cli.deployment.session import Session

#: As `sdfleet_cdk.app` reads them; importing it would start the CDK's JavaScript.
CONFIG_CONTEXT, REGION_CONTEXT, DEPLOYMENT_CONTEXT = "config", "region", "deploymentId"
#: npm's `latest` does not read what the pinned library writes; this one does.
CDK_PACKAGE = "aws-cdk@2.1148.1"
#: A rollback that failed can be continued by hand only; everything else is CloudFormation's or the CDK's to mend.
_STUCK = ("UPDATE_ROLLBACK_FAILED", "DELETE_FAILED", "ROLLBACK_FAILED")
#: Buckets that an earlier deployment of that name has left are taken in again, with what they hold.
_DEPLOY_OPTIONS = (
    "--exclusively", "--require-approval", "never", "--progress", "events", "--import-existing-resources",
)  # fmt: skip


def foundation_stack(deployment_id: str) -> str:
    return f"{deployment_id}-foundation"


def image_stack(deployment_id: str) -> str:
    return f"{deployment_id}-images"


def cdk_command(root: Path) -> list[str] | None:
    """How the CDK's command line is started here: the checkout's own, the PATH's, else npm fetches it."""
    own = root / "cdk" / "node_modules" / ".bin" / "cdk"
    if own.is_file():
        return [str(own)]
    path = f"{os.environ.get('PATH', '')}{os.pathsep}{Path(sys.executable).parent}"
    if found := shutil.which("cdk", path=path):
        return [found]
    if found := shutil.which("npx", path=path):
        return [found, "--yes", CDK_PACKAGE]
    return None


class CdkApp:
    def __init__(self, session: Session) -> None:
        self._session = session

    def bootstrap(self) -> None:
        account = self._session.account
        self._run("bootstrap", f"aws://{account.account_id}/{account.region}", log_name="bootstrap")

    def deploy(self, stack_name: str) -> Stack:
        """Create or update the stack and wait for it.

        Raises:
            DeploymentError: it failed; the sentence has the first resource that did, and AWS's reason.
        """
        stacks = self._session.stacks
        on_wait = self._waiting(stack_name)
        before = stacks.settled(stack_name, on_wait)
        if before is not None and before.status in _STUCK:
            raise DeploymentError(
                f"Stack {stack_name} is {before.status} ({before.status_reason or 'no reason given'}); continue its "
                "rollback or delete it in the CloudFormation console, then run this again."
            )
        began = datetime.now(UTC)
        try:
            self._run("deploy", stack_name, *_DEPLOY_OPTIONS, log_name=f"stack-{stack_name}")
        except DeploymentError as error:
            raise self._reason(stack_name, began, error) from error
        after = stacks.settled(stack_name, on_wait)
        if after is None or not after.is_usable:
            raise DeploymentError(
                f"Stack {stack_name} is {'gone' if after is None else after.status} after its deployment."
            )
        return after

    def _reason(self, stack_name: str, began: datetime, error: DeploymentError) -> DeploymentError:
        stacks = self._session.stacks
        if stacks.find(stack_name) is None:
            return error
        failure = stacks.first_failure(stack_name, since=began)
        if failure is None:
            return error
        return DeploymentError(
            f"Stack {stack_name} failed at {failure.logical_id} ({failure.resource_type}): "
            f"{failure.reason.rstrip('.')}."
        )

    def _waiting(self, stack_name: str) -> Callable[[str], None]:
        return lambda status: self._session.note(f"{stack_name} is {status}, waiting")

    def _run(self, *arguments: str, log_name: str) -> None:
        command = cdk_command(self._session.root)
        if command is None:
            raise DeploymentError("The AWS CDK needs Node.js 20 or later with npm; install it.")
        self._session.run_tool(
            [*command, *arguments, "--no-notices", *self._context()],
            cwd=self._session.root / "cdk",
            environment=environment(self._session.account.region),
            log_name=log_name,
            advice="see what it says above",
        )

    def _context(self) -> list[str]:
        session = self._session
        values = app_context(session.deployment_id, session.config_file, session.account.region)
        return [word for name, value in values.items() for word in ("-c", f"{name}={value}")]


def app_context(deployment_id: str, config_file: Path, region: str) -> dict[str, str]:
    """What the app is told, by the names of `sdfleet_cdk.app`."""
    return {CONFIG_CONTEXT: str(config_file.resolve()), REGION_CONTEXT: region, DEPLOYMENT_CONTEXT: deployment_id}


def environment(region: str) -> dict[str, str]:
    """What the CDK's processes find: this Python first, this region."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return {
        **os.environ,
        "PATH": path,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "CDK_DEFAULT_REGION": region,
    }


def synthesize(root: Path, deployment_id: str, config_file: Path, region: str, output: Path) -> list[Path]:
    """Write the templates, without the CDK's command line, credentials or network; the files.

    Raises:
        DeploymentError: the app does not make them.
    """
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    # The command line reads cdk.json; the app alone does not.
    flags = json.loads((root / "cdk" / "cdk.json").read_text())["context"]
    context = {**flags, **app_context(deployment_id, config_file, region)}
    quiet = {f"JSII_SILENCE_WARNING_{what}_NODE_VERSION": "1" for what in ("UNTESTED", "END_OF_LIFE", "DEPRECATED")}
    made = subprocess.run(
        [sys.executable, "-m", "sdfleet_cdk"],
        cwd=root / "cdk",
        env={**environment(region), **quiet, "CDK_OUTDIR": str(output), "CDK_CONTEXT_JSON": json.dumps(context)},
        capture_output=True,
        text=True,
        check=False,
    )
    templates = sorted(output.rglob("*.template.json"))
    if made.returncode or not templates:
        lines = [line.strip() for line in made.stderr.splitlines() if line.strip()] or ["it said nothing"]
        # The app's own refusals are whole sentences; anything else ends with its cause.
        raise DeploymentError(f"The template could not be made: {lines[0] if made.returncode == 2 else lines[-1]}")
    return templates
