"""What a user may set: defaults, units and limits. `sdfleet.config.loading` reads the file."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from sdfleet.config.rules import runtime_problems
from sdfleet.domain.names import RUNTIME_NAME
from sdfleet.domain.task import DEFAULT_MAX_ATTEMPTS, DEFAULT_TIMEOUT, RuntimeType
from sdfleet.domain.wire.requests import MAX_TIMEOUT_S

DEFAULT_MODEL = "v1-5-pruned-emaonly.safetensors"
#: Type of the errors whose message stands after "must be".
MEANING = "sdfleet_meaning"
_BUCKET = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
_MIB = 1024 * 1024
#: S3 signs for seven days at most (User Guide, presigned URLs).
_MAX_LINK_LIFETIME_S = 7 * 24 * 3600


def _like(pattern: str, meaning: str) -> AfterValidator:
    return AfterValidator(_matcher(re.compile(pattern), meaning))


def _matcher(pattern: re.Pattern[str], meaning: str) -> Callable[[str], str]:
    def match(value: str) -> str:
        if pattern.fullmatch(value) is None:
            raise PydanticCustomError(MEANING, "{meaning}", {"meaning": meaning})
        return value

    return match


#: Short enough for every name that is made from it (SQS: 80 characters with the runtime's).
StackName = Annotated[str, _like(r"[A-Za-z][A-Za-z0-9-]{0,31}", "1 to 32 letters, digits and hyphens, a letter first")]
RuntimeName = Annotated[
    str, _like(RUNTIME_NAME.pattern, "1 to 31 lower-case letters, digits and hyphens, a letter first")
]
StageName = Annotated[str, _like(r"[A-Za-z0-9_-]{1,128}", "1 to 128 letters, digits, hyphens and underscores")]
BucketArn = Annotated[str, _like(f"arn:aws[a-z-]*:s3:::{_BUCKET}", "a bucket's ARN such as arn:aws:s3:::my-models")]
BucketName = Annotated[str, _like(_BUCKET, "a bucket's name, without s3://")]
HostName = Annotated[
    str,
    _like(
        r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?",
        "a host or host:port, without http:// and without a path",
    ),
]
ModelFilename = Annotated[
    str, _like(r"(?!.*\.\.)[^/\s][^\n\\]{0,254}", "a file name such as model.safetensors, without .. or a leading /")
]


#: Keys of the seed documents, and units, that are not plain camel case.
_KEYS = {"api_gateway": "APIGW", "runtimes": "modelsRuntime", "max_size_mib": "maxSizeMiB"}


def _key(name: str) -> str:
    return _KEYS.get(name) or to_camel(name)


class _Section(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        alias_generator=_key,
        validate_by_name=True,
        validate_by_alias=True,
    )


class ThrottleConfig(_Section):
    """What API Gateway lets through, for everyone together."""

    #: Requests a second.
    rate_limit: float = Field(default=30, gt=0, le=10_000, allow_inf_nan=False)
    #: Requests at once.
    burst_limit: int = Field(default=50, ge=1, le=5_000)


class ApiGatewayConfig(_Section):
    stage_name: StageName = "prod"
    throttle: ThrottleConfig = ThrottleConfig()


class RuntimeConfig(_Section):
    """One runtime and its fleet."""

    name: RuntimeName
    type: RuntimeType = Field(strict=False)
    #: sdwebui: the model of a static runtime, or what a dynamic one starts with. v1alpha1 requests are routed by it.
    model_filename: ModelFilename | None = None
    #: sdwebui: a request may name another model of the bucket.
    dynamic_model: bool = False
    #: Seconds that one try of a task may take, unless the request says otherwise.
    task_timeout_s: int = Field(default=int(DEFAULT_TIMEOUT.total_seconds()), ge=1, le=MAX_TIMEOUT_S)
    #: Counted tries before a task fails for good.
    max_attempts: int = Field(default=DEFAULT_MAX_ATTEMPTS, ge=1, le=10)

    @property
    def task_timeout(self) -> timedelta:
        return timedelta(seconds=self.task_timeout_s)


class InputsConfig(_Section):
    """What links in a request may point at, beside public addresses and the service's own buckets."""

    allowed_hosts: tuple[HostName, ...] = Field(default=(), strict=False)
    allowed_buckets: tuple[BucketName, ...] = Field(default=(), strict=False)
    #: One input's largest size. An instance holds the inputs of two tasks in memory.
    max_size_mib: int = Field(default=64, ge=1, le=1024)

    @property
    def max_size_bytes(self) -> int:
        return self.max_size_mib * _MIB


class Config(_Section):
    """config/config.yaml."""

    stack_name: StackName = "sdfleet"
    #: None: no model bucket, hence no dynamic model look-ups.
    model_bucket_arn: BucketArn | None = None
    api_gateway: ApiGatewayConfig = ApiGatewayConfig()
    runtimes: tuple[RuntimeConfig, ...] = Field(
        default=(RuntimeConfig(name="sdruntime", type=RuntimeType.SDWEBUI, model_filename=DEFAULT_MODEL),),
        strict=False,
    )
    inputs: InputsConfig = InputsConfig()
    #: Requests that may wait for their task's end at once (`Prefer: wait`); 0: none.
    waiting_cap: int = Field(default=20, ge=0, le=1000)
    #: Lifetime of the links in answers, in seconds.
    link_lifetime_s: int = Field(default=3600, ge=60, le=_MAX_LINK_LIFETIME_S)

    @model_validator(mode="after")
    def _runtimes_fit_together(self) -> Self:
        problems = runtime_problems([runtime.model_dump(by_alias=True) for runtime in self.runtimes])
        if problems:
            raise ValueError("; ".join(problem.text for problem in problems))
        return self

    @property
    def model_bucket(self) -> str | None:
        return self.model_bucket_arn.rsplit(":", 1)[-1] if self.model_bucket_arn else None

    @property
    def link_lifetime(self) -> timedelta:
        return timedelta(seconds=self.link_lifetime_s)
