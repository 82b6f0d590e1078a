"""Builds on the account (CodeBuild), for machines without a container engine."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from sdfleet.aws.operator_errors import explained
from sdfleet.errors import DeploymentError

if TYPE_CHECKING:
    from mypy_boto3_codebuild import CodeBuildClient
    from mypy_boto3_codebuild.type_defs import BuildTypeDef

POLL = timedelta(seconds=10)
#: CodeBuild's own limit for one build is eight hours; an image with torch in it takes half of one.
PATIENCE = timedelta(hours=2)


class BuildProject:
    """Every call may raise DeploymentError."""

    def __init__(self, client: CodeBuildClient, name: str, *, pause: Callable[[float], None] = time.sleep) -> None:
        self._client = client
        self._name = name
        self._pause = pause

    def exists(self) -> bool:
        with explained():
            return bool(self._client.batch_get_projects(names=[self._name])["projects"])

    def run(self, variables: Mapping[str, str], *, source: str, on_phase: Callable[[str], None]) -> None:
        """Build from `source` (`bucket/key` of an archive) and wait for the end.

        Raises:
            DeploymentError: it failed; the sentence has the failed phase and where the log is.
        """
        overrides = [{"name": name, "value": value, "type": "PLAINTEXT"} for name, value in variables.items()]
        with explained():
            begun = self._client.start_build(
                projectName=self._name,
                sourceLocationOverride=source,
                environmentVariablesOverride=overrides,  # type: ignore[arg-type]
            )
        build_id = begun["build"]["id"]
        last_phase, waited = "", timedelta()
        while waited < PATIENCE:
            with explained():
                build = self._client.batch_get_builds(ids=[build_id])["builds"][0]
            phase = build.get("currentPhase", "")
            if phase != last_phase:
                on_phase(phase.lower().replace("_", " "))
                last_phase = phase
            if build.get("buildStatus") == "SUCCEEDED":
                return
            if build.get("buildStatus") != "IN_PROGRESS":
                raise DeploymentError(_failure(self._name, build))
            self._pause(POLL.total_seconds())
            waited += POLL
        raise DeploymentError(f"The build {build_id} runs for hours; stop it in the CodeBuild console and try again.")


def _failure(name: str, build: BuildTypeDef) -> str:
    failed = next((phase for phase in build.get("phases", ()) if phase.get("phaseStatus") == "FAILED"), None)
    contexts = failed.get("contexts", ()) if failed else ()
    reason = "; ".join(filter(None, (context.get("message", "") for context in contexts)))
    where = build.get("logs", {}).get("deepLink") or f"the log of the CodeBuild project {name}"
    phase = failed.get("phaseType", "build").lower() if failed else "build"
    return f"The build on the account failed in its phase {phase}{': ' + reason if reason else ''}. Its log: {where}"
