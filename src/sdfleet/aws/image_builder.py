"""AMIs made by EC2 Image Builder."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from sdfleet.aws.operator_errors import explained
from sdfleet.errors import DeploymentError

POLL = timedelta(seconds=15)
#: Launch, components, a reboot, the snapshot of some ten GB, launch and tests: an hour; twice that is a fault.
PATIENCE = timedelta(hours=3)
_GONE_WRONG = frozenset({"FAILED", "CANCELLED", "DELETED", "DISABLED", "DEPRECATED"})


class ImageBuilderClient(Protocol):
    """What is used of the SDK's client."""

    def list_image_pipelines(self, **request: Any) -> dict[str, Any]: ...

    def start_image_pipeline_execution(self, **request: Any) -> dict[str, Any]: ...

    def get_image(self, **request: Any) -> dict[str, Any]: ...


@dataclass(frozen=True)
class AmiBuild:
    arn: str
    #: Image Builder's own words, e.g. `BUILDING`.
    status: str
    reason: str
    #: None until there is one.
    ami_id: str | None


class AmiPipelines:
    """Every call may raise DeploymentError."""

    def __init__(self, client: ImageBuilderClient, *, pause: Callable[[float], None] = time.sleep) -> None:
        self._client = client
        self._pause = pause

    def find(self, name: str) -> str | None:
        """The pipeline's ARN; None: there is none of that name."""
        with explained():
            answer = self._client.list_image_pipelines(filters=[{"name": "name", "values": [name]}])
        return next((one["arn"] for one in answer["imagePipelineList"] if one["name"] == name), None)

    def start(self, pipeline_arn: str) -> AmiBuild:
        with explained():
            answer = self._client.start_image_pipeline_execution(imagePipelineArn=pipeline_arn)
        return AmiBuild(answer["imageBuildVersionArn"], "PENDING", "", None)

    def describe(self, build_arn: str) -> AmiBuild:
        with explained():
            image = self._client.get_image(imageBuildVersionArn=build_arn)["image"]
        state = image["state"]
        amis = image.get("outputResources", {}).get("amis", [])
        return AmiBuild(
            build_arn,
            state["status"],
            state.get("reason", ""),
            next((one["image"] for one in amis if "image" in one), None),
        )

    def follow(self, build_arn: str, *, on_status: Callable[[str], None]) -> str:
        """Wait for the end; the AMI's id.

        Raises:
            DeploymentError: it failed, or takes hours.
        """
        last_status, waited = "", timedelta()
        while waited < PATIENCE:
            build = self.describe(build_arn)
            if build.status != last_status:
                on_status(build.status.lower())
                last_status = build.status
            if build.status == "AVAILABLE" and build.ami_id is not None:
                return build.ami_id
            if build.status in _GONE_WRONG:
                reason = f": {build.reason.rstrip('.')}" if build.reason else ""
                raise DeploymentError(
                    f"Image Builder made no AMI ({build.status.lower()}{reason}). The build: {build_arn}; its log "
                    "is in the log group /aws/imagebuilder of the recipe's name."
                )
            self._pause(POLL.total_seconds())
            waited += POLL
        raise DeploymentError(
            f"The build {build_arn} runs for hours; cancel it in the Image Builder console, and try again."
        )
