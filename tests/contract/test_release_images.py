"""Whether the images of a release are still there, on moto's ECR."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from sdfleet.aws.clients import Clients
from sdfleet.aws.container_registry import ContainerRegistry

REPOSITORY = "sdfleet/pictures/scheduler"
REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"


@pytest.fixture
def registry(endpoint: str) -> Iterator[tuple[ContainerRegistry, str]]:
    """With one image, and that image's digest."""
    client = Clients(region="us-east-1", endpoint_url=endpoint, has_credentials=False).ecr
    client.create_repository(repositoryName=REPOSITORY)
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "size": 2, "digest": "sha256:aa"},
        "layers": [],
    }
    pushed = client.put_image(repositoryName=REPOSITORY, imageManifest=json.dumps(manifest), imageTag="1.1.0")
    yield ContainerRegistry(client), pushed["image"]["imageId"]["imageDigest"]
    client.delete_repository(repositoryName=REPOSITORY, force=True)
    client.close()


def test_an_image_is_there_by_its_digest(registry: tuple[ContainerRegistry, str]) -> None:
    images, digest = registry
    assert images.has(f"{REGISTRY}/{REPOSITORY}@{digest}")


@pytest.mark.parametrize("repository", [REPOSITORY, "sdfleet/pictures/gone"])
def test_one_that_was_deleted_is_not(registry: tuple[ContainerRegistry, str], repository: str) -> None:
    assert not registry[0].has(f"{REGISTRY}/{repository}@sha256:{'0' * 64}")


@pytest.mark.parametrize(
    "image",
    ["ghcr.io/somebody/scheduler@sha256:ab", f"{REGISTRY.replace('us-east-1', 'eu-west-1')}/a@sha256:ab", "a:1.0"],
)
def test_of_other_registries_nothing_is_said(registry: tuple[ContainerRegistry, str], image: str) -> None:
    assert registry[0].has(image)
