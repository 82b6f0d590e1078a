"""Whole deployments as templates: each variant is synthesized once, in this process, with cdk-nag's rules on."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import aws_cdk as cdk

from sdfleet.config import Config, placed
from sdfleet_cdk.app import add_stacks, foundation_stack_name

WEBUI: Mapping[str, Any] = {"name": "sdruntime", "type": "sdwebui", "modelFilename": "v1-5.safetensors"}
COMFYUI: Mapping[str, Any] = {"name": "comfy-flow", "type": "comfyui"}
NEURON: Mapping[str, Any] = {
    "name": "chips",
    "type": "custom",
    "images": {"runtime": "registry.example.com/neuron:1"},
    "fleet": {"instanceTypes": ["inf2.xlarge"]},
}

#: By what is special about them.
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "default": {"region": "us-west-2"},
    "china": {"region": "cn-northwest-1"},
    "existing-vpc": {
        "region": "us-west-2",
        "modelBucketArn": "arn:aws:s3:::my-models",
        "network": {"vpcId": "vpc-0123456789abcdef0", "subnetIds": ["subnet-0123456789abcdef0"]},
    },
    "two-runtimes": {
        "region": "us-west-2",
        "stackName": "Pictures",
        "modelsRuntime": [dict(WEBUI), dict(COMFYUI)],
        "outputs": {"retentionDays": 90},
        "dashboard": True,
        "APIGW": {"accessLogs": True, "tracedPercentage": 20},
        "tags": {"team": "art"},
    },
    # As `./deploy.sh --local` makes it.
    "local": {"region": "us-east-1", "stackName": "local", "modelsRuntime": [dict(WEBUI), dict(COMFYUI)]},
    "no-api": {
        "region": "us-west-2",
        "api": False,
        "outputs": {"bucketName": "my-pictures", "cdn": False},
        "retention": {"backupDays": None},
    },
    "image-pipeline": {
        "region": "us-west-2",
        "modelsRuntime": [dict(WEBUI), dict(NEURON)],
        "imagePipeline": {"enabled": True, "instanceType": "g6.xlarge"},
    },
}


@dataclass(frozen=True)
class Resource:
    logical_id: str
    kind: str
    properties: Mapping[str, Any]
    #: All of it: policies of deletion, metadata.
    whole: Mapping[str, Any]


@dataclass(frozen=True)
class Templates:
    """Both stacks of one deployment."""

    foundation: Mapping[str, Any]
    service: Mapping[str, Any]
    directory: Path

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(sorted(self.directory.glob("*.template.json")))

    @property
    def outputs(self) -> Mapping[str, Any]:
        return {name: one["Value"] for name, one in self.service["Outputs"].items()}

    def resources(self, kind: str | None = None) -> Iterator[Resource]:
        for template in (self.foundation, self.service):
            for logical_id, one in template["Resources"].items():
                if kind in (None, one["Type"]):
                    yield Resource(logical_id, one["Type"], one.get("Properties", {}), one)

    def named(self, kind: str, key: str) -> dict[str, Mapping[str, Any]]:
        """Properties of all resources of a type, by the value of one of them."""
        return {flat(one.properties[key]): one.properties for one in self.resources(kind)}


_directories: list[tempfile.TemporaryDirectory[str]] = []


@cache
def templates(variant: str) -> Templates:
    directory = tempfile.TemporaryDirectory()
    _directories.append(directory)
    keys = {"modelsRuntime": [dict(WEBUI)], **VARIANTS[variant]}
    config = placed(Config.model_validate(keys), keys["region"])
    app = cdk.App(outdir=directory.name, analytics_reporting=False)
    stacks = add_stacks(app, config)
    app.synth()
    path = Path(directory.name)

    def read(name: str) -> Any:
        return json.loads((path / f"{name}.template.json").read_text())

    return Templates(
        foundation=read(foundation_stack_name(config.stack_name)),
        service=read(stacks.service.stack_name),
        directory=path,
    )


def flat(value: Any) -> str:
    """A template value in one line: what only the deployment knows stands as `<name>`."""
    match value:
        case str():
            return value
        case {"Fn::Join": [str(delimiter), list(parts)]}:
            return delimiter.join(map(flat, parts))
        case {"Fn::GetAtt": [name, attribute]}:
            return f"<{name}.{attribute}>"
        case {"Ref": name}:
            return f"<{name}>"
    return json.dumps(value)
