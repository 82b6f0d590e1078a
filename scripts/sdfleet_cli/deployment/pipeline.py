"""The steps from nothing to a service that draws, in their order, and what they end with."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence

from sdfleet.config import Config
from sdfleet_cli.deployment.checks import Checks
from sdfleet_cli.deployment.configuration import Wish
from sdfleet_cli.deployment.first_picture import FirstPicture
from sdfleet_cli.deployment.first_release import FirstRelease
from sdfleet_cli.deployment.image_steps import Images, MachineImage
from sdfleet_cli.deployment.model_steps import Configuration, Models
from sdfleet_cli.deployment.runner import Step
from sdfleet_cli.deployment.sample_requests import first_task
from sdfleet_cli.deployment.stack_steps import Bootstrap, Foundation, ImagePipeline, Service

STEP_NAMES = (
    "config", "checks", "models", "bootstrap", "foundation", "pipeline", "images", "ami", "release", "service",
    "picture",
)  # fmt: skip


def steps_of(wishes: Sequence[Wish]) -> list[Step]:
    return [
        # First, for everything else reads it.
        Configuration(tuple(wishes)),
        Checks(),
        Models(),
        Bootstrap(),
        Foundation(),
        ImagePipeline(),
        Images(),
        MachineImage(),
        FirstRelease(),
        Service(),
        FirstPicture(),
    ]


def request_line(outputs: Mapping[str, str], config: Config) -> str:
    """A command to paste that asks for a picture. The key is fetched by it, not printed."""
    runtime = config.runtimes[0]
    task = first_task(runtime.name, runtime.type)
    # The same id twice is the same task: the service makes one.
    task["metadata"] = {key: value for key, value in task["metadata"].items() if key != "id"}
    endpoint = outputs.get("FrontApiEndpoint")
    if not endpoint:
        attributes = json.dumps({"runtime": {"DataType": "String", "StringValue": runtime.name}})
        return (
            f"aws sns publish --topic-arn {outputs.get('sdNotificationLambdaARN', '')} "
            f"--message-attributes {shlex.quote(attributes)} --message {shlex.quote(json.dumps(task))}"
        )
    return (
        f'curl -s {endpoint.rstrip("/")}/v1alpha2 -H "x-api-key: $({outputs.get("GetAPIKeyCommand", "")})" '
        f"-H 'Content-Type: application/json' -H 'Prefer: wait=25' -d {shlex.quote(json.dumps({'task': task}))}"
    )
