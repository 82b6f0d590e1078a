"""The fleets' part of a template, made without the rest: network, groups, scaling, alarms, dashboard, image builds."""

from __future__ import annotations

import base64
import io
import json
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import aws_cdk as cdk
import yaml

from sdfleet.config import Config
from sdfleet_cdk.alarms import Alarms
from sdfleet_cdk.fleet_scaling import FleetScaling
from sdfleet_cdk.image_pipeline import ImageRepositories
from sdfleet_cdk.network import Network
from sdfleet_cdk.observability import Dashboard
from sdfleet_cdk.references import deployment_context
from sdfleet_cdk.region import Region
from sdfleet_cdk.release_parameters import ReleaseParameters
from sdfleet_cdk.runtime_fleet import RuntimeFleet

ACCOUNT = "123456789012"
WEBUI: Mapping[str, Any] = {"name": "sdruntime", "type": "sdwebui", "modelFilename": "v1-5.safetensors"}


@dataclass(frozen=True)
class FleetTemplate:
    resources: Mapping[str, Any]
    parameters: Mapping[str, Any]

    def of_type(self, kind: str) -> list[Any]:
        """Properties of all resources of a type."""
        return [one.get("Properties", {}) for one in self.resources.values() if one["Type"] == kind]

    def one(self, kind: str) -> Any:
        (only,) = self.of_type(kind)
        return only

    def named(self, kind: str, key: str, value: str) -> Any:
        (only,) = [one for one in self.of_type(kind) if one.get(key) == value]
        return only

    @property
    def launch_data(self) -> Any:
        return self.one("AWS::EC2::LaunchTemplate")["LaunchTemplateData"]

    def user_data(self) -> str:
        """As an instance gets it; what only the deployment knows stands as `<name>`."""
        return plain(self.launch_data["UserData"]["Fn::Base64"])


def fleet_template(*, region: str = "us-west-2", **keys: Any) -> FleetTemplate:
    """A deployment of one WebUI runtime, changed by `keys` of the configuration."""
    return _synthesized(region, json.dumps({"modelsRuntime": [dict(WEBUI)], **keys}))


def with_fleet(**fleet: Any) -> list[dict[str, Any]]:
    """`modelsRuntime` of one WebUI runtime with these keys of its fleet."""
    return [{**WEBUI, "fleet": fleet}]


@cache
def _synthesized(region: str, keys: str) -> FleetTemplate:
    config = Config.model_validate({"stackName": "sdfleet", "region": region, **json.loads(keys)})
    with tempfile.TemporaryDirectory() as directory:
        app = cdk.App(outdir=directory, analytics_reporting=False)
        stack = cdk.Stack(app, "Fleets", env=cdk.Environment(region=region, account=ACCOUNT))
        context = deployment_context(stack, config=config, region=Region(region))
        network = Network(stack, "Network", config=config)
        for runtime in config.runtimes:
            ReleaseParameters(stack, f"{runtime.name}-release", deployment_id="sdfleet", runtime=runtime.name)
            fleet = RuntimeFleet(stack, f"{runtime.name}-fleet", context=context, runtime=runtime, network=network)
            FleetScaling(stack, f"{runtime.name}-scaling", fleet=fleet)
        Alarms(stack, "Alarms", config=config, has_api=True)
        Dashboard(stack, "Dashboard", config=config, region=Region(region), has_api=True)
        ImageRepositories(stack, "Images", config=config)
        template = app.synth().get_stack_by_name(stack.stack_name).template
    return FleetTemplate(template["Resources"], template["Parameters"])


def plain(value: Any) -> str:
    """A template's value as text."""
    if isinstance(value, str):
        return value
    if "Ref" in value:
        return f"<{value['Ref']}>"
    if "Fn::GetAtt" in value:
        return f"<{'.'.join(value['Fn::GetAtt'])}>"
    separator, parts = value["Fn::Join"]
    return str(separator).join(plain(part) for part in parts)


def written_files(user_data: str) -> dict[str, str]:
    """What a cloud-config document brings, by path."""
    document = yaml.safe_load(user_data)
    files: dict[str, str] = {}
    for file in document["write_files"]:
        content = file["content"]
        if file.get("encoding") == "b64":
            files |= _unpacked(base64.b64decode(content))
        else:
            files[file["path"]] = content
    return files


def _unpacked(archive: bytes) -> dict[str, str]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        return {f"/{one.name}": read.read().decode() for one in files if (read := files.extractfile(one)) is not None}
