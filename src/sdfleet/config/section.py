"""What every section of the configuration has in common: its keys' form, and values that must look like something."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

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


@dataclass(frozen=True, eq=False)
class Kind:
    """What a value must be beyond its type. Stands in `Annotated`; the reference and the schema read it there."""

    #: Stands after "must be".
    meaning: str
    accepts: Callable[[Any], bool]
    json_schema: JsonDict

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonDict:
        return {**handler(schema), **self.json_schema}

    def _checked(self, value: Any) -> Any:
        if not self.accepts(value):
            raise PydanticCustomError(MEANING, "{meaning}", {"meaning": self.meaning})
        return value


def like(pattern: str, meaning: str) -> Kind:
    compiled = re.compile(pattern)
    return Kind(meaning, lambda value: compiled.fullmatch(value) is not None, {"pattern": f"^(?:{pattern})$"})


#: Short enough for every name that is made from it (SQS: 80 characters with the runtime's).
StackName = Annotated[str, like(r"[A-Za-z][A-Za-z0-9-]{0,31}", "1 to 32 letters, digits and hyphens, a letter first")]
RuntimeName = Annotated[
    str, like(RUNTIME_NAME.pattern, "1 to 31 lower-case letters, digits and hyphens, a letter first")
]
StageName = Annotated[str, like(r"[A-Za-z0-9_-]{1,128}", "1 to 128 letters, digits, hyphens and underscores")]
BucketArn = Annotated[str, like(f"arn:aws[a-z-]*:s3:::{_BUCKET}", "a bucket's ARN such as arn:aws:s3:::my-models")]
BucketName = Annotated[str, like(_BUCKET, "a bucket's name, without s3://")]
HostName = Annotated[
    str,
    like(
        r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?",
        "a host or host:port, without http:// and without a path",
    ),
]
ModelFilename = Annotated[
    str, like(r"(?!.*\.\.)[^/\s][^\n\\]{0,254}", "a file name such as model.safetensors, without .. or a leading /")
]
Region = Annotated[str, like(r"[a-z]{2,3}(-[a-z]+)+-[0-9]{1,2}", "a region such as us-west-2")]
#: Local zones have longer names: us-west-2-lax-1a.
ZoneName = Annotated[str, like(r"[a-z]{2,3}(-[a-z]+)+-[0-9]{1,2}(-[a-z]+-[0-9])?[a-z]", "a zone such as us-west-2a")]
InstanceType = Annotated[str, like(r"[a-z][a-z0-9-]*\.[a-z0-9-]+", "an instance type such as g5.xlarge")]
AmiId = Annotated[str, like(r"ami-[0-9a-f]{8,17}", "an AMI id such as ami-0123456789abcdef0")]
#: The seeds' own examples are ten digits long.
SnapshotId = Annotated[str, like(r"snap-[0-9a-f]{8,17}", "a snapshot id such as snap-0123456789abcdef0")]
VpcId = Annotated[str, like(r"vpc-[0-9a-f]{8,17}", "a VPC id such as vpc-0123456789abcdef0")]
SubnetId = Annotated[str, like(r"subnet-[0-9a-f]{8,17}", "a subnet id such as subnet-0123456789abcdef0")]
#: OCI Distribution Specification: registry, path, and a tag or digest.
ImageReference = Annotated[
    str,
    like(
        r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*"
        r"(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?",
        "a container image such as registry.example.com/sdwebui:1.2.0, without https://",
    ),
]
RepositoryUrl = Annotated[
    str,
    like(r"https://[A-Za-z0-9.-]+(:[0-9]{1,5})?/[^\s?#@]+", "an https:// address of a git repository, without a key"),
]
Commit = Annotated[
    str, like(r"[0-9a-f]{40}", "a full commit of 40 hexadecimal digits: branches and tags can be moved by others")
]
DomainName = Annotated[
    str,
    like(
        r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?",
        "a domain name such as images.example.com, without https://",
    ),
]
CertificateArn = Annotated[
    str,
    like(r"arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/[A-Za-z0-9-]+", "the ARN of an ACM certificate"),
]
HostedZoneId = Annotated[
    str, like(r"Z[A-Z0-9]{1,31}", "the id of a Route 53 hosted zone, such as Z0123456789ABCDEFGHIJ")
]
EmailAddress = Annotated[str, like(r"[^\s@]+@[^\s@]+\.[^\s@.]+", "an e-mail address")]
EnvironmentName = Annotated[
    str,
    like(r"(?!SDFLEET_|AWS_)[A-Za-z_][A-Za-z0-9_]{0,127}", "a variable's name, not beginning with SDFLEET_ or AWS_"),
]
#: Keys with a / cannot be shown in the instance metadata, from where the instances read their own (EC2 User Guide).
TagKey = Annotated[
    str,
    like(
        r"(?![Aa][Ww][Ss]:)[A-Za-z0-9_.:=+@-]{1,128}", "1 to 128 letters, digits and _.:=+@-, not beginning with aws:"
    ),
]
TagValue = Annotated[str, like(r"[^\x00-\x1f]{0,256}", "text of at most 256 characters")]
