"""What differs between regions: defaults that depend on one, and what cannot be had there. Asks nobody."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path as FilePath

from sdfleet.config.fleet import FleetConfig
from sdfleet.config.loading import load, problem_lines
from sdfleet.config.model import Config
from sdfleet.config.network import Egress
from sdfleet.config.problem import Problem
from sdfleet.config.runtime import RuntimeConfig
from sdfleet.domain.content import Path
from sdfleet.domain.task import RuntimeType
from sdfleet.errors import ConfigError

#: Where only g4dn is sure to be had: every size with one GPU that the EKS guidance's runtimes fit on.
CHINA_INSTANCE_TYPES = ("g4dn.xlarge", "g4dn.2xlarge", "g4dn.4xlarge", "g4dn.8xlarge")
#: GPU families that China's regions lack, by the seed documents (000: g5) and AWS's list [X] (g6 and later).
FAMILIES_NOT_IN_CHINA = ("g5", "g5g", "g6", "g6e", "g6f", "gr6", "gr6f", "g7e")


def is_china(region: str) -> bool:
    return region.startswith("cn-")


def partition_of(region: str) -> str:
    """The second part of every ARN there."""
    if is_china(region):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


def load_for(path: FilePath, region: str | None = None, *, offered: Collection[str] | None = None) -> Config:
    """The file, placed in `region`, else in the file's own, else as it stands.

    Raises:
        ConfigError: every problem, one a line, also of what cannot be had in the region.
    """
    config = load(path)
    region = region or config.region
    if region is None:
        return config
    if problems := region_problems(config, region, offered=offered):
        raise ConfigError(problem_lines(path, problems))
    return _with_defaults(config, region, offered)


def placed(config: Config, region: str, *, offered: Collection[str] | None = None) -> Config:
    """With every default that depends on the region filled in.

    `offered`: the instance types that the region says it has; without them, what is known of it decides.

    Raises:
        ConfigError: every problem, one a line.
    """
    if problems := region_problems(config, region, offered=offered):
        raise ConfigError("\n".join(f"{problem.text}." for problem in problems))
    return _with_defaults(config, region, offered)


def region_problems(config: Config, region: str, *, offered: Collection[str] | None = None) -> list[Problem]:
    """What keeps `config` from being deployed in `region`."""
    problems = [*_api_problems(config, region), *_arn_problems(config, region)]
    for index, runtime in enumerate(config.runtimes):
        path: Path = ("modelsRuntime", index)
        problems += _type_problems((*path, "fleet", "instanceTypes"), runtime.fleet, region, offered)
        problems += _zone_problems((*path, "fleet", "zones"), runtime.fleet, region)
        problems += _image_problems((*path, "images"), runtime, config)
    return problems


def _with_defaults(config: Config, region: str, offered: Collection[str] | None) -> Config:
    china = is_china(region)
    outputs = config.outputs
    cdn = (not china and outputs.bucket_name is None) if outputs.cdn is None else outputs.cdn
    has_api = (not china or config.domain_name is not None) if config.api is None else config.api
    return config.model_copy(
        update={
            "region": region,
            "api": has_api,
            "outputs": outputs.model_copy(update={"cdn": cdn}),
            "runtimes": tuple(_runtime_in(runtime, region, offered) for runtime in config.runtimes),
        }
    )


def _runtime_in(runtime: RuntimeConfig, region: str, offered: Collection[str] | None) -> RuntimeConfig:
    if "instance_types" in runtime.fleet.model_fields_set:
        return runtime
    is_offered = _offer(region, offered)
    wanted = CHINA_INSTANCE_TYPES if is_china(region) else runtime.fleet.instance_types
    # Nothing of it offered: the first launch will say so, in words of AWS's own.
    types = tuple(filter(is_offered, wanted)) or wanted
    return runtime.model_copy(update={"fleet": runtime.fleet.model_copy(update={"instance_types": types})})


def _api_problems(config: Config, region: str) -> list[Problem]:
    if not is_china(region):
        return []
    problems = []
    if config.api and config.domain_name is None:
        problems.append(
            Problem(
                ("api",),
                f"is true; without an ICP licence API Gateway in {region} answers no request with a key,"
                " set domainName to a licensed one, or api to false and publish to the request topic",
            )
        )
    if config.outputs.cdn:
        problems.append(
            Problem(
                ("outputs", "cdn"),
                f"is true; in {region} CloudFront serves licensed domains only, set it to false for signed S3 links",
            )
        )
    return problems


def _arn_problems(config: Config, region: str) -> list[Problem]:
    partition = partition_of(region)
    problems = []
    bucket = config.model_bucket_arn
    if bucket is not None and bucket.split(":")[1] != partition:
        problems.append(Problem(("modelBucketArn",), f"is {bucket}; in {region} it must begin with arn:{partition}:s3"))
    domain = config.domain_name
    if domain is not None and domain.certificate_arn.split(":")[1:4] != [partition, "acm", region]:
        problems.append(
            Problem(
                ("domainName", "certificateArn"),
                f"is {domain.certificate_arn}; it must be in {region}, request the certificate there",
            )
        )
    return problems


def _type_problems(path: Path, fleet: FleetConfig, region: str, offered: Collection[str] | None) -> list[Problem]:
    if "instance_types" not in fleet.model_fields_set:
        return []
    is_offered = _offer(region, offered)
    return [
        Problem(
            (*path, index),
            f"is {instance_type}, which {region} does not offer; use others, such as {CHINA_INSTANCE_TYPES[0]}",
        )
        for index, instance_type in enumerate(fleet.instance_types)
        if not is_offered(instance_type)
    ]


def _offer(region: str, offered: Collection[str] | None) -> Callable[[str], bool]:
    if offered is not None:
        return lambda instance_type: instance_type in offered
    return lambda instance_type: not is_china(region) or instance_type.split(".")[0] not in FAMILIES_NOT_IN_CHINA


def _zone_problems(path: Path, fleet: FleetConfig, region: str) -> list[Problem]:
    return [
        Problem((*path, index), f"is {zone}, which is not in {region}")
        for index, zone in enumerate(fleet.zones)
        if not zone.startswith(region)
    ]


def _image_problems(path: Path, runtime: RuntimeConfig, config: Config) -> list[Problem]:
    problems = []
    if runtime.type is RuntimeType.CUSTOM and runtime.images.runtime is None:
        problems.append(Problem((*path, "runtime"), "is missing; a custom runtime needs the image of its server"))
    if config.network.egress is Egress.ENDPOINTS:
        problems += [
            Problem(
                (*path, key), f"is {image}; with egress endpoints only the account's ECR can be reached, copy it there"
            )
            for key, image in (("runtime", runtime.images.runtime), ("scheduler", runtime.images.scheduler))
            if image is not None and ".dkr.ecr." not in image
        ]
    return problems
