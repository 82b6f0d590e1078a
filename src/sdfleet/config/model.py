"""What a user may set: defaults, units and limits. `sdfleet.config.loading` reads the file."""

from __future__ import annotations

from datetime import timedelta
from typing import Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from sdfleet.config.api import ApiGatewayConfig, DomainNameConfig, InputsConfig
from sdfleet.config.network import NetworkConfig
from sdfleet.config.operations import AlarmsConfig, ImagePipelineConfig, OutputsConfig, RetentionConfig
from sdfleet.config.rules import problems_of
from sdfleet.config.runtime import RuntimeConfig
from sdfleet.config.section import BucketArn, EmailAddress, Region, Section, StackName, TagKey, TagValue
from sdfleet.domain.task import RuntimeType

DEFAULT_MODEL = "v1-5-pruned-emaonly.safetensors"
#: Type of the error that carries what does not fit together: `ctx["problems"]`.
RULES = "sdfleet_rules"
#: S3 signs for seven days at most (User Guide, presigned URLs).
_MAX_LINK_LIFETIME_S = 7 * 24 * 3600


class Config(Section):
    """config/config.yaml."""

    stack_name: StackName = "sdfleet"
    """The deployment's name (its id): all its parts carry it."""
    region: Region | None = None
    """Where it is deployed. null: where the AWS command line points; -R overrides both."""
    model_bucket_arn: BucketArn | None = None
    """Where the models lie (folders as in the WebUI). null: no model bucket, hence no choice of models."""
    api: bool | None = None
    """The REST API. null: yes, but in China only with a domainName. false: requests come through the request topic
    only."""
    api_gateway: ApiGatewayConfig = ApiGatewayConfig()
    domain_name: DomainNameConfig | None = None
    """A domain of yours for the API. null: API Gateway's own."""
    runtimes: tuple[RuntimeConfig, ...] = Field(
        default=(RuntimeConfig(name="sdruntime", type=RuntimeType.SDWEBUI, model_filename=DEFAULT_MODEL),),
        strict=False,
    )
    """One fleet and one queue each."""
    inputs: InputsConfig = InputsConfig()
    waiting_cap: int = Field(default=20, ge=0, le=1000)
    """Requests that may wait for their task's end at once (`Prefer: wait`); below the account's Lambda concurrency.
    0: none."""
    link_lifetime_s: int = Field(default=3600, ge=60, le=_MAX_LINK_LIFETIME_S)
    """Seconds that the links in answers work. S3's live no longer than their signer's credentials."""
    outputs: OutputsConfig = OutputsConfig()
    network: NetworkConfig = NetworkConfig()
    image_pipeline: ImagePipelineConfig = ImagePipelineConfig()
    alarm_email: EmailAddress | None = None
    """Who is told of alarms; AWS asks for a confirmation by mail. null: the topic has no subscriber yet."""
    alarms: AlarmsConfig = AlarmsConfig()
    dashboard: bool = False
    """Make CloudWatch's dashboard of the deployment. An account has three for nothing; more cost 3 USD a month each."""
    retention: RetentionConfig = RetentionConfig()
    tags: dict[TagKey, TagValue] = Field(default={}, max_length=40)
    """On everything that takes tags, for cost reports; AWS takes 50, some of which are ours."""

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        problems = problems_of(self.model_dump(by_alias=True))
        if problems:
            text = "; ".join(problem.text for problem in problems)
            raise PydanticCustomError(RULES, "{text}", {"text": text, "problems": tuple(problems)})
        return self

    @property
    def model_bucket(self) -> str | None:
        return self.model_bucket_arn.rsplit(":", 1)[-1] if self.model_bucket_arn else None

    @property
    def has_api(self) -> bool:
        """Where the region has one (`regions.placed`)."""
        return self.api is not False

    @property
    def has_cdn(self) -> bool:
        """Where the region has one (`regions.placed`)."""
        return self.outputs.cdn is not False and self.outputs.bucket_name is None

    @property
    def link_lifetime(self) -> timedelta:
        return timedelta(seconds=self.link_lifetime_s)
