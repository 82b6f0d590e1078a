"""One runtime of the EKS guidance as one of ours: Karpenter and KEDA become a fleet."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping
from typing import Any

from sdfleet.config.eks_section import EksSection
from sdfleet.config.fleet import FleetConfig
from sdfleet.config.problem import Problem
from sdfleet.config.regions import CHINA_INSTANCE_TYPES, FAMILIES_NOT_IN_CHINA
from sdfleet.domain.task import RuntimeType

#: The chart's own default (values.yaml, runtime.scaling.maxReplicaCount).
_CHART_REPLICAS = 20
#: The queueLength for which our steps are made.
_STEP = 10
#: Where the guidance's WebUI image listens (its chart's deployment-sdwebui.yaml).
_GUIDANCE_WEBUI_PORT = 8080
_LONGEST_COOLDOWN_S = 3600


def converted_runtime(old: EksSection, tags: dict[str, Any], notes: list[Problem], *, is_china: bool) -> dict[str, Any]:
    new: dict[str, Any] = {"name": old.take("name"), "type": _type(old, notes)}
    if (filename := old.take("modelFilename")) is not None:
        new["modelFilename"] = filename
    if (dynamic := old.take("dynamicModel")) is not None:
        new["dynamicModel"] = dynamic
    extra = old.section("extraValues")
    runtime, karpenter = extra.section("runtime"), extra.section("karpenter")
    new |= _server(runtime.section("inferenceApi"), new, notes)
    fleet = {
        **_machines(karpenter.section("provisioner"), notes, is_china=is_china),
        **_node(karpenter.section("nodeTemplate"), tags, notes),
        # The guidance's page on China has it below karpenter, where its chart never looks.
        **_scaling(karpenter.section("scaling") if "scaling" in karpenter.left else runtime.section("scaling"), notes),
    }
    if fleet:
        new["fleet"] = fleet
    return new


def _type(old: EksSection, notes: list[Problem]) -> str:
    kind = old.take("type")
    if kind is None:
        notes.append(Problem((*old.path, "type"), "is missing; taken for sdwebui"))
        return RuntimeType.SDWEBUI.value
    # Older files of the guidance have SDWebUI and ComfyUI.
    return str(kind).lower()


def _server(old: EksSection, runtime: Mapping[str, Any], notes: list[Problem]) -> dict[str, Any]:
    new: dict[str, Any] = {}
    environment = old.take("extraEnv")
    variables = dict(environment) if isinstance(environment, Mapping) else {}
    arguments = old.take("commandArguments")
    if image := _image(old.section("image")):
        new["images"] = {"runtime": image}
        if runtime["type"] == RuntimeType.SDWEBUI:
            # What the guidance's chart tells its image.
            variables["API_ONLY"] = "true"
            if runtime.get("dynamicModel"):
                variables["DYNAMIC_SD_MODEL"] = "true"
            elif filename := runtime.get("modelFilename"):
                variables["SD_MODEL_CHECKPOINT"] = filename
            new["port"] = _GUIDANCE_WEBUI_PORT
            notes.append(
                Problem(
                    (*old.path, "image"),
                    f"is kept, with the port ({_GUIDANCE_WEBUI_PORT}) and the variables of the guidance's own WebUI"
                    " image; remove images, port and environment for the one that is built here",
                )
            )
        if arguments is not None:
            variables["EXTRA_CMD_ARG"] = arguments
    elif arguments is not None:
        new["arguments"] = shlex.split(str(arguments))
    if variables:
        new["environment"] = variables
    return new


def _image(old: EksSection) -> str | None:
    repository, tag = old.take("repository"), old.take("tag")
    if repository is None:
        return None
    return f"{repository}:{tag}" if tag is not None else str(repository)


def _machines(old: EksSection, notes: list[Problem], *, is_china: bool) -> dict[str, Any]:
    new: dict[str, Any] = {}
    if isinstance(types := old.take("instanceType"), list):
        kept = [name for name in types if not (is_china and str(name).split(".")[0] in FAMILIES_NOT_IN_CHINA)]
        path = (*old.path, "instanceType")
        if len(kept) < len(types):
            names = ", ".join(str(name) for name in types if name not in kept)
            instead = "" if kept else f"; {', '.join(CHINA_INSTANCE_TYPES)} are taken instead"
            notes.append(Problem(path, f"names {names}, which China does not offer{instead}"))
        if kept:
            new["instanceTypes"] = kept
            if len(kept) < 4:
                notes.append(Problem(path, f"has {len(kept)} types; Spot capacity needs at least 4, add others"))
    capacity = old.section("capacityType")
    on_demand, spot = capacity.take("onDemand"), capacity.take("spot")
    if spot is False:
        new["onDemandPercentage"] = 100
    elif on_demand and spot:
        new["onDemandPercentage"] = 0
        notes.append(
            Problem(
                capacity.path,
                "allows both; Karpenter takes On-Demand where there is no Spot, a fleet keeps to its shares:"
                " all Spot here, set onDemandBase or onDemandPercentage for more certainty",
            )
        )
    return new


def _node(old: EksSection, tags: dict[str, Any], notes: list[Problem]) -> dict[str, Any]:
    if isinstance(own := old.take("tags"), Mapping):
        tags.update(own)
    volume = old.section("dataVolume")
    new: dict[str, Any] = {}
    if (size := volume.take("volumeSize")) is not None:
        new["sizeGib"] = _gib(size, (*volume.path, "volumeSize"), notes)
    for key, ours in (("volumeType", "type"), ("iops", "iops"), ("throughput", "throughput")):
        if (value := volume.take(key)) is not None:
            new[ours] = value
    if new.get("type", "gp3") != "gp3":
        # Ours is for gp3.
        new["throughput"] = None
    if (snapshot := volume.take("snapshotID")) is not None:
        new["snapshotId"] = snapshot
        notes.append(
            Problem(
                (*volume.path, "snapshotID"),
                "is attached as a data volume; Bottlerocket's image cache in it helps nothing here, the image pipeline"
                " makes an AMI with the container images instead",
            )
        )
    return {"volume": new} if new else {}


def _gib(size: Any, path: tuple[str | int, ...], notes: list[Problem]) -> Any:
    match = re.fullmatch(r"(\d+)(Gi|Ti|G|T)", str(size))
    if match is None:
        return size
    factor = {"Gi": 1.0, "Ti": 1024.0, "G": 1e9 / 2**30, "T": 1e12 / 2**30}[match[2]]
    wanted = math.ceil(int(match[1]) * factor)
    least = 20
    if wanted < least:
        notes.append(Problem(path, f"is {size}; the instance's only volume needs at least {least} GiB"))
    return max(wanted, least)


def _scaling(old: EksSection, notes: list[Problem]) -> dict[str, Any]:
    new: dict[str, Any] = {}
    if (least := old.take("minReplicaCount")) is not None:
        new["minSize"] = least
    if (most := old.take("maxReplicaCount")) is not None:
        new["maxSize"] = most
    else:
        ours = FleetConfig.model_fields["max_size"].default
        text = f"is not set: the guidance's chart then allows {_CHART_REPLICAS}, a fleet {ours}; set maxSize for more"
        notes.append(Problem((*old.path, "maxReplicaCount"), text))
    scaling: dict[str, Any] = {}
    if isinstance(length := old.take("queueLength"), int) and length != _STEP:
        scaling["steps"] = [
            {"fromMessages": bound, "addInstances": add}
            for add, bound in enumerate((0, length, 5 * length, 10 * length + 1))
        ]
        notes.append(
            Problem((*old.path, "queueLength"), f"is {length}; KEDA's target becomes the bounds of the scaling steps")
        )
    if isinstance(cooldown := old.take("cooldownPeriod"), int):
        # CloudWatch counts in minutes.
        scaling["cooldownS"] = min(max(60, math.ceil(cooldown / 60) * 60), _LONGEST_COOLDOWN_S)
        if scaling["cooldownS"] != cooldown:
            notes.append(
                Problem(
                    (*old.path, "cooldownPeriod"), f"is {cooldown}; it becomes {scaling['cooldownS']}, whole minutes"
                )
            )
    if scaling:
        new["scaling"] = scaling
    return new
