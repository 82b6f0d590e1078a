"""What every section of the configuration has in common: its keys' form, and values that must look like something."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from sdfleet.domain.names import RUNTIME_NAME

#: Type of the errors whose message stands after "must be".
MEANING = "sdfleet_meaning"
_BUCKET = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
#: Keys of the seed documents, and units, that are not plain camel case.
_KEYS = {"api_gateway": "APIGW", "runtimes": "modelsRuntime", "max_size_mib": "maxSizeMiB"}


def _key(name: str) -> str:
    return _KEYS.get(name) or to_camel(name)


class Section(BaseModel):
    """The docstring below a field is its description in the reference and the schema: meaning, unit, reason."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        alias_generator=_key,
        validate_by_name=True,
        validate_by_alias=True,
        use_attribute_docstrings=True,
    )


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
Region = Annotated[str, _like(r"[a-z]{2,3}(-[a-z]+)+-[0-9]{1,2}", "a region such as us-west-2")]
#: Local zones have longer names: us-west-2-lax-1a.
ZoneName = Annotated[str, _like(r"[a-z]{2,3}(-[a-z]+)+-[0-9]{1,2}(-[a-z]+-[0-9])?[a-z]", "a zone such as us-west-2a")]
InstanceType = Annotated[str, _like(r"[a-z][a-z0-9-]*\.[a-z0-9-]+", "an instance type such as g5.xlarge")]
AmiId = Annotated[str, _like(r"ami-[0-9a-f]{8,17}", "an AMI id such as ami-0123456789abcdef0")]
#: The seeds' own examples are ten digits long.
SnapshotId = Annotated[str, _like(r"snap-[0-9a-f]{8,17}", "a snapshot id such as snap-0123456789abcdef0")]
VpcId = Annotated[str, _like(r"vpc-[0-9a-f]{8,17}", "a VPC id such as vpc-0123456789abcdef0")]
SubnetId = Annotated[str, _like(r"subnet-[0-9a-f]{8,17}", "a subnet id such as subnet-0123456789abcdef0")]
#: OCI Distribution Specification: registry, path, and a tag or digest.
ImageReference = Annotated[
    str,
    _like(
        r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*"
        r"(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?",
        "a container image such as registry.example.com/sdwebui:1.2.0, without https://",
    ),
]
RepositoryUrl = Annotated[
    str,
    _like(r"https://[A-Za-z0-9.-]+(:[0-9]{1,5})?/[^\s?#@]+", "an https:// address of a git repository, without a key"),
]
Commit = Annotated[
    str, _like(r"[0-9a-f]{40}", "a full commit of 40 hexadecimal digits: branches and tags can be moved by others")
]
DomainName = Annotated[
    str,
    _like(
        r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?",
        "a domain name such as images.example.com, without https://",
    ),
]
CertificateArn = Annotated[
    str,
    _like(r"arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/[A-Za-z0-9-]+", "the ARN of an ACM certificate"),
]
HostedZoneId = Annotated[
    str, _like(r"Z[A-Z0-9]{1,31}", "the id of a Route 53 hosted zone, such as Z0123456789ABCDEFGHIJ")
]
EmailAddress = Annotated[str, _like(r"[^\s@]+@[^\s@]+\.[^\s@.]+", "an e-mail address")]
EnvironmentName = Annotated[
    str,
    _like(r"(?!SDFLEET_|AWS_)[A-Za-z_][A-Za-z0-9_]{0,127}", "a variable's name, not beginning with SDFLEET_ or AWS_"),
]
#: Keys with a / cannot be shown in the instance metadata, from where the instances read their own (EC2 User Guide).
TagKey = Annotated[
    str,
    _like(r"(?!(?i:aws):)[A-Za-z0-9_.:=+@-]{1,128}", "1 to 128 letters, digits and _.:=+@-, not beginning with aws:"),
]
TagValue = Annotated[str, _like(r"[^\x00-\x1f]{0,256}", "text of at most 256 characters")]
