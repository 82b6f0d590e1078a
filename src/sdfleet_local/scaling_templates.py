"""What a group launches: a launch template's version, named by the group or by a refresh's desired configuration."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from sdfleet.aws.operator_errors import explained
from sdfleet.domain import names
from sdfleet.errors import DeploymentError
from sdfleet_local.scaling_errors import ValidationError
from sdfleet_local.scaling_wire import Request

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

#: Versions that move (LaunchTemplateSpecification, Version); `$Default` where none is named.
MOVING = ("$Latest", "$Default")
#: An AMI that is looked up at each launch: nothing can be rolled back to it (RollbackInstanceRefresh).
AMI_ALIAS = "resolve:ssm:"


@dataclass(frozen=True)
class Template:
    """One numbered version of a launch template."""

    id: str
    name: str
    version: str
    #: Its instances' tag `sdfleet-release`.
    release: str
    image_id: str = ""
    #: What its instances are tagged with.
    tags: Mapping[str, str] = field(default_factory=dict)

    def to_specification(self) -> dict[str, str]:
        """An instance's LaunchTemplate, as DescribeAutoScalingGroups has it."""
        return {"LaunchTemplateId": self.id, "LaunchTemplateName": self.name, "Version": self.version}


@dataclass(frozen=True)
class Specification:
    """A LaunchTemplateSpecification: a template by id or name, and a version that may move."""

    template_id: str | None
    name: str | None
    version: str = "$Default"

    @property
    def is_moving(self) -> bool:
        return self.version in MOVING


@dataclass(frozen=True)
class Configuration:
    """What a group launches from now on."""

    #: `{"LaunchTemplate": ...}` or `{"MixedInstancesPolicy": ...}` as it was given.
    shape: Mapping[str, Any]
    specification: Specification
    #: What the specification stood for when it was given.
    template: Template

    def to_answer(self) -> dict[str, Any]:
        """As the describe calls show it: the launch template by id and by name, whichever was given."""
        shown = {**self.template.to_specification(), "Version": self.specification.version}
        mixed = self.shape.get("MixedInstancesPolicy")
        if mixed is None:
            return {"LaunchTemplate": shown}
        inner = {**mixed["LaunchTemplate"], "LaunchTemplateSpecification": shown}
        return {"MixedInstancesPolicy": {**mixed, "LaunchTemplate": inner}}

    @property
    def can_be_returned_to(self) -> bool:
        """User Guide, "Undo changes with a rollback": a numbered version whose AMI is an id."""
        return not self.specification.is_moving and not self.template.image_id.startswith(AMI_ALIAS)


class Templates(Protocol):
    def find(self, specification: Specification) -> Template:
        """Raises:
        ValidationError: there is no such template or version.
        """

    def tag(self, instance_id: str, template: Template) -> None:
        """Give a new instance its template's tags, before it runs."""

    def untag(self, instance_id: str) -> None:
        """Forget an instance's tags, which go with it."""


def read_configuration(
    request: Request, templates: Templates, *, current: Configuration | None = None
) -> Configuration | None:
    """The launch template or mixed instances policy in `request`; None where there is neither.

    `current`: a group's, of which a policy without a launch template keeps its own (MixedInstancesPolicy,
    LaunchTemplate: "Required when creating a mixed instances group").

    Raises:
        ValidationError: both, or something that does not exist.
    """
    plain, mixed = request.structure("LaunchTemplate"), request.structure("MixedInstancesPolicy")
    if plain is not None and mixed is not None:
        raise ValidationError("Specify either a LaunchTemplate or a MixedInstancesPolicy, not both")
    if plain is not None:
        specification = _read_specification(plain)
        return Configuration({"LaunchTemplate": plain.values}, specification, templates.find(specification))
    if mixed is None:
        return None
    template = mixed.structure("LaunchTemplate")
    if template is None and current is not None:
        return replace(current, shape={"MixedInstancesPolicy": {**_policy_of(current), **mixed.values}})
    inner = template and template.structure("LaunchTemplateSpecification")
    if inner is None:
        raise ValidationError("A MixedInstancesPolicy must have a LaunchTemplate with a LaunchTemplateSpecification")
    specification = _read_specification(inner)
    return Configuration({"MixedInstancesPolicy": mixed.values}, specification, templates.find(specification))


def _policy_of(configuration: Configuration) -> Mapping[str, Any]:
    """As a mixed policy, whatever it was given as."""
    plain = {"LaunchTemplate": {"LaunchTemplateSpecification": configuration.shape.get("LaunchTemplate")}}
    policy: Mapping[str, Any] = configuration.shape.get("MixedInstancesPolicy", plain)
    return policy


def first_configuration(shape: Mapping[str, Any], templates: Templates) -> Configuration:
    """Of a new group; `shape` has what CreateAutoScalingGroup would be told.

    Raises:
        ValidationError: `shape` names no launch template, or one that does not exist.
    """
    configuration = read_configuration(Request(shape), templates)
    if configuration is None:
        raise ValidationError("A group needs a LaunchTemplate or a MixedInstancesPolicy.")
    return configuration


def _read_specification(request: Request) -> Specification:
    template_id, name = request.text("LaunchTemplateId"), request.text("LaunchTemplateName")
    if (template_id is None) == (name is None):
        # LaunchTemplateSpecification: "You must specify either a LaunchTemplateId or a LaunchTemplateName."
        raise ValidationError(
            "Valid requests must contain either launchTemplateId or LaunchTemplateName"
            if template_id is None
            else "Only one of LaunchTemplateId and LaunchTemplateName can be specified"
        )
    return Specification(template_id, name, request.text("Version") or "$Default")


class Ec2Templates:
    """Launch templates and tags of the embedded endpoint's EC2."""

    def __init__(self, ec2: EC2Client) -> None:
        self._ec2 = ec2
        #: A numbered version never changes.
        self._known: dict[Specification, Template] = {}
        self._lock = threading.Lock()

    def find(self, specification: Specification) -> Template:
        with self._lock:
            known = self._known.get(specification)
        if known is not None:
            return known
        sought: Any = (
            {"LaunchTemplateId": specification.template_id}
            if specification.template_id is not None
            else {"LaunchTemplateName": specification.name}
        )
        try:
            with explained():
                answer = self._ec2.describe_launch_template_versions(**sought, Versions=[specification.version])
        except DeploymentError as error:
            raise ValidationError(f"You must use a valid fully-formed launch template. {error}") from error
        if not answer["LaunchTemplateVersions"]:
            raise ValidationError(
                f"You must use a valid fully-formed launch template. There is no version {specification.version} of it."
            )
        template = _template(answer["LaunchTemplateVersions"][0])
        if not specification.is_moving:
            with self._lock:
                self._known[specification] = template
        return template

    def tag(self, instance_id: str, template: Template) -> None:
        with explained():
            self._ec2.create_tags(
                Resources=[instance_id], Tags=[{"Key": key, "Value": value} for key, value in template.tags.items()]
            )

    def untag(self, instance_id: str) -> None:
        with explained():
            self._ec2.delete_tags(Resources=[instance_id])


def _template(version: Any) -> Template:
    data = version["LaunchTemplateData"]
    tags = {
        tag["Key"]: tag["Value"]
        for specification in data.get("TagSpecifications", ())
        if specification["ResourceType"] == "instance"
        for tag in specification["Tags"]
    }
    return Template(
        id=version["LaunchTemplateId"],
        name=version["LaunchTemplateName"],
        version=str(version["VersionNumber"]),
        release=tags.get(names.RELEASE_TAG, ""),
        image_id=data.get("ImageId", ""),
        tags=tags,
    )
