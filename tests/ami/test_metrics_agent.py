"""What the CloudWatch agent is told, against the schema that was written after its documentation."""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from sdfleet.config import Config
from sdfleet.config.inventory import INSTANCE_METRICS
from sdfleet_cdk.metrics_agent import RELEASE_PLACEHOLDER, agent_settings

_ROOT = Path(__file__).resolve().parents[2]
_SCHEMA = json.loads((_ROOT / "ami/imagebuilder/cloudwatch-agent.schema.json").read_text())
WEBUI = {"name": "sdruntime", "type": "sdwebui", "modelFilename": "v1-5.safetensors"}
EACH_INSTANCE = {**WEBUI, "fleet": {"instanceMetrics": True}}
CHIPS: dict[str, Any] = {
    "name": "chips",
    "type": "custom",
    "images": {"runtime": "registry.example.com/neuron:1"},
    "fleet": {"instanceTypes": ["inf2.xlarge"]},
}


def settings(runtime: dict[str, Any]) -> dict[str, Any]:
    config = Config.model_validate({"stackName": "sdfleet", "modelsRuntime": [runtime]})
    return agent_settings("sdfleet", config.runtimes[0])


def complaints(told: dict[str, Any]) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in Draft202012Validator(_SCHEMA).iter_errors(told)]


@pytest.mark.parametrize("runtime", [WEBUI, EACH_INSTANCE, CHIPS])
def test_the_settings_are_as_the_agent_documents_them(runtime: dict[str, Any]) -> None:
    assert complaints(settings(runtime)) == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda told: told["metrics"].update(append_dimensions={"Release": "1.0.0"}),
        lambda told: told["metrics"]["metrics_collected"]["nvidia_gpu"]["measurement"].append(
            {"name": "gpu_utilization", "unit": "Percent"}
        ),
        lambda told: told["metrics"]["metrics_collected"]["mem"]["measurement"][0].update(unit="Percentage"),
        lambda told: told["metrics"]["metrics_collected"].update(gpu={}),
        lambda told: told["metrics"]["metrics_collected"]["disk"].update(resource=["/"]),
        lambda told: told["logs"]["logs_collected"]["files"]["collect_list"][0].pop("log_group_name"),
        lambda told: told.pop("agent"),
    ],
)
def test_what_the_agent_would_refuse_is_found(spoil: Callable[[dict[str, Any]], Any]) -> None:
    told = copy.deepcopy(settings(WEBUI))
    spoil(told)
    assert complaints(told)


def test_gpus_memory_and_disks_are_measured_with_their_units() -> None:
    collected = settings(WEBUI)["metrics"]["metrics_collected"]
    measured = {
        f"{plugin}_{one['name']}": one["unit"] for plugin, about in collected.items() for one in about["measurement"]
    }
    assert measured == {
        "nvidia_gpu_utilization_gpu": "Percent",
        "nvidia_gpu_memory_used": "Megabytes",
        "nvidia_gpu_temperature_gpu": "None",
        "nvidia_gpu_power_draw": "None",
        "mem_used_percent": "Percent",
        "disk_used_percent": "Percent",
    }
    assert len(measured) == INSTANCE_METRICS


def test_each_measurement_is_there_once_for_the_fleet() -> None:
    metrics = settings(WEBUI)["metrics"]
    assert metrics["aggregation_dimensions"] == [["Fleet"]]
    for plugin in metrics["metrics_collected"].values():
        assert plugin["append_dimensions"] == {"Fleet": "sdfleet-sdruntime"}


def test_and_where_the_configuration_wants_it_once_for_the_instance() -> None:
    metrics = settings(EACH_INSTANCE)["metrics"]
    assert metrics["aggregation_dimensions"] == [["Fleet"], ["Deployment", "Runtime", "Release", "InstanceId"]]
    for plugin in metrics["metrics_collected"].values():
        assert plugin["append_dimensions"] == {
            "Fleet": "sdfleet-sdruntime",
            "Deployment": "sdfleet",
            "Runtime": "sdruntime",
            "Release": RELEASE_PLACEHOLDER,
        }


@pytest.mark.parametrize("runtime", [WEBUI, EACH_INSTANCE, CHIPS])
def test_nothing_is_reported_by_the_agents_own_dimensions(runtime: dict[str, Any]) -> None:
    metrics = settings(runtime)["metrics"]
    for plugin in metrics["metrics_collected"].values():
        # They have each GPU's serial number and each device's name in them.
        assert plugin["drop_original_metrics"] == [one["name"] for one in plugin["measurement"]]
        # The agent aggregates only to fewer dimensions than a measurement has; memory has no others than these.
        dimensions = {*metrics["append_dimensions"], *plugin["append_dimensions"]}
        assert all(set(one) < dimensions for one in metrics["aggregation_dimensions"])


@pytest.mark.parametrize(("scaling", "seconds"), [({}, 300), ({"gpuUtilisationTarget": 70}, 60)])
def test_measurements_are_sent_at_once_where_capacity_follows_them(scaling: dict[str, Any], seconds: int) -> None:
    assert settings({**WEBUI, "fleet": {"scaling": scaling}})["metrics"]["force_flush_interval"] == seconds


def test_without_nvidias_gpus_none_is_asked_for() -> None:
    assert set(settings(CHIPS)["metrics"]["metrics_collected"]) == {"mem", "disk"}


def handed_to_the_agent(told: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """By gpu-metrics.sh, on an instance of release 1.2.0."""
    (tmp_path / "cloudwatch-agent.json").write_text(json.dumps(told))
    agent = tmp_path / "ctl"
    agent.write_text(
        f'#!/bin/sh\nfor word in "$@"; do case $word in file:*) cp "${{word#file:}}" {tmp_path}/got;; esac; done\n'
    )
    agent.chmod(0o755)
    (tmp_path / "boot.sh").write_text('metadata() { [ "$1" = tags/instance/sdfleet-release ] && echo 1.2.0; }\n')
    script = (_ROOT / "cdk/sdfleet_cdk/boot_files/gpu-metrics.sh").read_text()
    for place, here in {
        "/usr/local/lib/sdfleet/boot.sh": "boot.sh",
        "/opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl": "ctl",
        "/etc/sdfleet/cloudwatch-agent.json": "cloudwatch-agent.json",
        "/run/sdfleet-cloudwatch-agent.json": "made.json",
    }.items():
        assert place in script
        script = script.replace(place, str(tmp_path / here))
    subprocess.run(["bash", "-c", script], check=True)
    got: dict[str, Any] = json.loads((tmp_path / "got").read_text())
    return got


def test_the_instance_puts_its_own_release_into_the_settings(tmp_path: Path) -> None:
    told = settings({**CHIPS, "fleet": {**CHIPS["fleet"], "instanceMetrics": True}})
    got = handed_to_the_agent(told, tmp_path)
    assert RELEASE_PLACEHOLDER not in json.dumps(got)
    assert got["metrics"]["metrics_collected"]["mem"]["append_dimensions"]["Release"] == "1.2.0"


def test_without_metrics_of_instances_the_settings_are_taken_as_they_are(tmp_path: Path) -> None:
    assert handed_to_the_agent(settings(CHIPS), tmp_path) == settings(CHIPS)
