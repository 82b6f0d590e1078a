"""Container images of the first release, and the machine image that instances start from."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sdfleet.aws.build_project import BuildProject
from sdfleet.aws.build_source import BuildSources
from sdfleet.aws.container_registry import ContainerRegistry
from sdfleet.config import Config
from sdfleet.config.runtime import PinnedRepository, RuntimeConfig
from sdfleet.domain import names
from sdfleet.domain.task import RuntimeType
from sdfleet.errors import DeploymentError
from sdfleet_cli.deployment import container_engine
from sdfleet_cli.deployment.build_context import pack
from sdfleet_cli.deployment.first_release import first_version, runtimes_without_release
from sdfleet_cli.deployment.session import Session


@dataclass(frozen=True)
class ImageBuild:
    """One container image to make."""

    repository: str
    #: In the checkout.
    dockerfile: str
    arguments: dict[str, str]


class Images:
    name = "images"
    title = "Container images"

    def inputs(self, session: Session) -> Mapping[str, object]:
        return {
            "version": first_version(session),
            "builds": [one.repository for one in builds_of(session.deployment_id, session.config)],
            "is_built_on_aws": session.options.is_built_on_aws,
        }

    def holds(self, session: Session) -> bool:
        return not missing(session, first_version(session))

    def run(self, session: Session) -> Mapping[str, str]:
        if not runtimes_without_release(session):
            session.note("every fleet has a release; new images go out with scripts/deploy-new-version.sh")
            return {}
        version = first_version(session)
        build_images(session, version)
        return {"version": version}


class MachineImage:
    name = "ami"
    title = "Machine image"

    def inputs(self, session: Session) -> Mapping[str, object]:
        return {
            "ami": {one.name: one.fleet.ami_id for one in session.config.runtimes},
            "pipeline": session.config.image_pipeline.enabled,
        }

    def holds(self, session: Session) -> bool:
        return True

    def run(self, session: Session) -> Mapping[str, str]:
        for runtime in session.config.runtimes:
            if runtime.fleet.ami_id is not None:
                session.note(f"{runtime.name}: {runtime.fleet.ami_id}")
            else:
                session.note(
                    f"{runtime.name}: AWS's stock GPU AMI; each new instance pulls its container images first, which "
                    "takes minutes. An AMI with them in it (fleet.amiId, imagePipeline) starts in one"
                )
        return {}


def builds_of(deployment_id: str, config: Config) -> list[ImageBuild]:
    """The images that are ours to build: those that the configuration takes from nowhere else."""
    builds = []
    if any(runtime.images.scheduler is None for runtime in config.runtimes):
        builds.append(ImageBuild(names.image_repository(deployment_id, "scheduler"), "scheduler/Dockerfile", {}))
    own = (one for one in config.runtimes if one.images.runtime is None and one.type is not RuntimeType.TEST_PATTERN)
    return builds + [
        ImageBuild(
            names.image_repository(deployment_id, runtime.name),
            f"scheduler/images/{runtime.type}/Dockerfile",
            _arguments(runtime),
        )
        for runtime in own
    ]


def _arguments(runtime: RuntimeConfig) -> dict[str, str]:
    pinned = {"CUSTOM_NODES": runtime.custom_nodes, "EXTENSIONS": runtime.extensions}
    return {name: " ".join(map(_pin, repositories)) for name, repositories in pinned.items() if repositories}


def _pin(one: PinnedRepository) -> str:
    return f"{one.repository}@{one.commit}"


def missing(session: Session, version: str, builds: Sequence[ImageBuild] | None = None) -> list[ImageBuild]:
    """Of `builds`, or of all that are ours, what ECR does not have as `version`."""
    registry = ContainerRegistry(session.clients.ecr)
    if builds is None:
        builds = builds_of(session.deployment_id, session.config)
    return [one for one in builds if registry.digest(one.repository, version) is None]


def build_images(session: Session, version: str, wanted: Sequence[ImageBuild] | None = None) -> None:
    """Build and push what ECR does not have yet as `version`; an existing image is never replaced.

    `wanted` None: all that are ours.

    Raises:
        DeploymentError: no engine, no Dockerfile, or a build that fails.
    """
    builds = missing(session, version, wanted)
    if not builds:
        session.note(f"ECR has all images of {version}")
        return
    registry = ContainerRegistry(session.clients.ecr)
    for one in builds:
        if not (session.root / one.dockerfile).is_file():
            raise DeploymentError(
                f"There is no {one.dockerfile} in this checkout; name an image in modelsRuntime[].images instead."
            )
        registry.ensure_repository(one.repository, deployment_id=session.deployment_id)
    if session.options.is_built_on_aws:
        _build_on_aws(session, builds, version)
    else:
        _build_here(session, builds, version)
    still = [one.repository for one in builds if registry.digest(one.repository, version) is None]
    if still:
        raise DeploymentError(f"ECR has no {version} of {', '.join(still)} after the build; see its log.")


def _build_here(session: Session, builds: list[ImageBuild], version: str) -> None:
    engine = container_engine.find()
    if engine is None:
        raise DeploymentError(
            "No container engine (docker, podman or buildah) works here; install one, or add --on-aws to build on the "
            "account."
        )
    engine.login(session, ContainerRegistry(session.clients.ecr).login())
    for one in builds:
        tag = f"{session.account.registry}/{one.repository}:{version}"
        session.note(f"{one.repository}:{version} with {engine.name}")
        engine.build(session, Path(session.root / one.dockerfile), tag, {**one.arguments, **_base(session)})
        engine.push(session, tag)


def _build_on_aws(session: Session, builds: list[ImageBuild], version: str) -> None:
    project = BuildProject(session.clients.codebuild, names.image_build_project(session.deployment_id))
    if not project.exists():
        raise DeploymentError("The build project is not there; run the step again with --redo foundation.")
    # This checkout, not the one that the stacks were deployed from.
    archive = pack(session.root)
    bucket = (
        f"{names.bucket_stem(session.deployment_id, 'inbox')}-{session.account.account_id}-{session.account.region}"
    )
    key = names.build_source_key(hashlib.sha256(archive).hexdigest())
    source = BuildSources(session.clients.s3, bucket).put(key, archive)
    for one in builds:
        session.note(f"{one.repository}:{version} on the account")
        variables = {
            "REPOSITORY_URI": f"{session.account.registry}/{one.repository}",
            "IMAGE_VERSION": version,
            "DOCKERFILE": one.dockerfile,
            "BUILD_ARGUMENTS": shlex.join(
                f"--build-arg={name}={value}" for name, value in {**one.arguments, **_base(session)}.items()
            ),
        }
        project.run(variables, source=source, on_phase=lambda phase: session.note(f"| {phase}"))


def _base(session: Session) -> Mapping[str, str]:
    return {} if session.options.base_image is None else {"BASE": session.options.base_image}
