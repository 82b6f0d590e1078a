"""Repositories and container images in the account's ECR."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from sdfleet.aws.operator_errors import code_of, explained
from sdfleet.errors import DeploymentError

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_ecr.type_defs import ImageIdentifierTypeDef

#: As releases name images (Amazon ECR User Guide, "Pulling an image").
_BY_DIGEST = re.compile(
    r"\d{12}\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?/(?P<repository>[^:@]+)@(?P<digest>sha256:[0-9a-f]+)"
)


@dataclass(frozen=True)
class RegistryLogin:
    #: Host name.
    registry: str
    username: str
    #: Lives 12 hours (ECR API Reference, GetAuthorizationToken).
    password: str = field(repr=False)


class ContainerRegistry:
    """Every call may raise DeploymentError."""

    def __init__(self, client: ECRClient) -> None:
        self._client = client

    def ensure_repository(self, name: str, *, deployment_id: str | None) -> None:
        """Tags in it cannot be moved, and what is pushed is scanned."""
        try:
            with explained():
                self._client.create_repository(
                    repositoryName=name,
                    imageTagMutability="IMMUTABLE",
                    imageScanningConfiguration={"scanOnPush": True},
                    tags=[{"Key": "sdfleet:deployment", "Value": deployment_id}] if deployment_id else [],
                )
        except DeploymentError as error:
            if not (
                isinstance(error.__cause__, ClientError) and code_of(error.__cause__).startswith("RepositoryAlready")
            ):
                raise

    def digest(self, repository: str, tag: str) -> str | None:
        """`sha256:...` of what the tag names; None: no such repository or tag."""
        return self._digest(repository, {"imageTag": tag})

    def has(self, image: str) -> bool:
        """Whether the image, by its digest, is there; one of a registry that is not this account's is taken to be."""
        match = _BY_DIGEST.fullmatch(image)
        if match is None or match["region"] != self._client.meta.region_name:
            return True
        return self._digest(match["repository"], {"imageDigest": match["digest"]}) is not None

    def _digest(self, repository: str, image: ImageIdentifierTypeDef) -> str | None:
        try:
            with explained():
                answer = self._client.describe_images(repositoryName=repository, imageIds=[image])
        except DeploymentError as error:
            cause = error.__cause__
            if isinstance(cause, ClientError) and code_of(cause) in (
                "ImageNotFoundException",
                "RepositoryNotFoundException",
            ):
                return None
            raise
        return answer["imageDetails"][0]["imageDigest"]

    def login(self) -> RegistryLogin:
        with explained():
            access = self._client.get_authorization_token()["authorizationData"][0]
        username, _, password = base64.b64decode(access["authorizationToken"]).decode().partition(":")
        return RegistryLogin(access["proxyEndpoint"].removeprefix("https://"), username, password)

    def delete_repositories(self, prefix: str) -> list[str]:
        """Delete those whose name begins with `prefix`, images and all; their names."""
        with explained():
            pages = self._client.get_paginator("describe_repositories").paginate()
            found = [one["repositoryName"] for page in pages for one in page["repositories"]]
            doomed = sorted(name for name in found if name.startswith(prefix))
            for name in doomed:
                self._client.delete_repository(repositoryName=name, force=True)
        return doomed

    def repositories(self, prefix: str) -> list[str]:
        with explained():
            pages = self._client.get_paginator("describe_repositories").paginate()
            found = [one["repositoryName"] for page in pages for one in page["repositories"]]
        return sorted(name for name in found if name.startswith(prefix))
