"""What stands before the queues: the API, its domain, and what requests may point at."""

from __future__ import annotations

from pydantic import Field

from sdfleet.config.section import BucketName, CertificateArn, DomainName, HostedZoneId, HostName, Section, StageName

_MIB = 1024 * 1024


class ThrottleConfig(Section):
    """What API Gateway lets through, for everyone together."""

    rate_limit: float = Field(default=30, gt=0, le=10_000, allow_inf_nan=False)
    """Requests a second. As the EKS guidance has it."""
    burst_limit: int = Field(default=50, ge=1, le=5_000)
    """Requests at once, beyond the rate. As the EKS guidance has it."""


class ApiGatewayConfig(Section):
    """The REST API."""

    stage_name: StageName = "prod"
    """The stage: the last part of the endpoint's path."""
    throttle: ThrottleConfig = ThrottleConfig()
    access_logs: bool = False
    """A line for each request in CloudWatch Logs, kept for retention.logDays: time, address, key id, method, path,
    status, milliseconds; no key, query or content. The account and region need API Gateway's role for logs."""
    traced_percentage: float = Field(default=1, ge=0, le=100, allow_inf_nan=False)
    """Percent of the API's requests that X-Ray takes; each costs 0.000005 USD. Logs name the trace of every request
    whatever stands here."""


class DomainNameConfig(Section):
    """A domain of yours for the API. In China one with an ICP licence is the only way to an API with keys."""

    name: DomainName
    """The full name, such as images.example.com."""
    certificate_arn: CertificateArn
    """Its certificate in ACM, in the deployment's region."""
    hosted_zone_id: HostedZoneId | None = None
    """The Route 53 zone that gets the record. null: you point the name at the API yourself."""


class InputsConfig(Section):
    """What links in a request may point at, beside public addresses and the service's own buckets."""

    allowed_hosts: tuple[HostName, ...] = Field(default=(), strict=False)
    """Hosts, or host:port, that are not public and may be fetched from all the same."""
    allowed_buckets: tuple[BucketName, ...] = Field(default=(), strict=False)
    """Buckets beside the service's own that s3:// links may name; the instances get read access to them."""
    max_size_mib: int = Field(default=64, ge=1, le=1024)
    """MiB: one input's largest size. An instance holds the inputs of two tasks in memory."""

    @property
    def max_size_bytes(self) -> int:
        return self.max_size_mib * _MIB
