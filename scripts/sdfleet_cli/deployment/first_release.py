"""The release that a new fleet starts with. Later ones are rollouts: nothing here touches a fleet that has one."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from sdfleet.aws.container_registry import ContainerRegistry
from sdfleet.aws.release_store import SsmReleaseStore
from sdfleet.config.runtime import RuntimeConfig
from sdfleet.domain import names
from sdfleet.domain.release import Release
from sdfleet.domain.task import RuntimeType
from sdfleet.errors import DeploymentError
from sdfleet_cli.deployment.session import Session

#: CloudFormation's first version of a launch template.
FIRST_LAUNCH_TEMPLATE_VERSION = "1"
#: What the container images are made of.
_SOURCES = ("scheduler", "src/sdfleet", "requirements")


class FirstRelease:
    name = "release"
    title = "First release"

    def inputs(self, session: Session) -> Mapping[str, object]:
        return {"runtimes": [one.name for one in session.config.runtimes]}

    def holds(self, session: Session) -> bool:
        return not runtimes_without_release(session)

    def run(self, session: Session) -> Mapping[str, str]:
        waiting = runtimes_without_release(session)
        if not waiting:
            session.note("every fleet has a release; new ones go out with scripts/deploy-new-version.sh")
            return {}
        version, store = first_version(session), _store(session)
        for runtime in waiting:
            # The record first: a version that is named somewhere has one.
            record(session, runtime, version)
            store.write(runtime.name, "deployment-status", "stable")
            store.write(runtime.name, "image-version", version)
            session.note(f"{runtime.name}: {version}")
        return {"version": version}


def record(
    session: Session,
    runtime: RuntimeConfig,
    version: str,
    *,
    kept_image: str | None = None,
    kept_ami_id: str | None = None,
) -> None:
    """Record a release with the digests of its images, once: an existing record stays.

    `kept_image`: the runtime's image of an earlier release; None: the one that was built as `version`. `kept_ami_id`:
    that of an earlier release, where the configuration names none.

    Raises:
        DeploymentError: an image of it is not in ECR.
    """
    store = _store(session)
    if store.read(runtime.name, f"releases/{version}") is not None:
        return
    runtime_image = None
    if runtime.type is not RuntimeType.TEST_PATTERN:
        runtime_image = kept_image or _pinned(session, runtime.images.runtime, runtime.name, version)
    release = Release(
        version=version,
        created_at=datetime.now(UTC).replace(microsecond=0),
        created_by=session.account.caller_arn,
        scheduler_image=_pinned(session, runtime.images.scheduler, "scheduler", version),
        runtime_image=runtime_image,
        ami_id=runtime.fleet.ami_id or kept_ami_id,
        commit=source_commit(session.root),
    )
    store.create(runtime.name, f"releases/{version}", json.dumps(release.to_json()))


def source_commit(root: Path) -> str | None:
    """The checkout's commit, with `-dirty` where it has changes; None: it is no repository's."""
    if not (root / ".git").exists():
        return None
    words = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    try:
        found = subprocess.run(words, cwd=root, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return found.stdout.strip() or None


def runtimes_without_release(session: Session) -> list[RuntimeConfig]:
    return [one for one in session.config.runtimes if release_of(session, one.name) is None]


def release_of(session: Session, runtime: str) -> str | None:
    version = _store(session).read(runtime, "image-version")
    return None if version in (None, "", names.NO_RELEASE) else version


def first_version(session: Session) -> str:
    """The product's version and a digest of what the images are made of: the same sources are built once."""
    content = hashlib.sha256()
    for name in _SOURCES:
        for file in sorted((session.root / name).rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                content.update(str(file.relative_to(session.root)).encode() + b"\0" + file.read_bytes())
    for runtime in session.config.runtimes:
        content.update(repr((runtime.name, runtime.custom_nodes, runtime.extensions)).encode())
    return f"{metadata.version('sdfleet')}-{content.hexdigest()[:8]}"


def prepare_parameters(session: Session) -> None:
    """A stack that is made anew has launch templates whose versions begin at 1, whatever its predecessor's had."""
    if session.stacks.find(session.deployment_id) is not None:
        return
    store = _store(session)
    for runtime in session.config.runtimes:
        store.write(runtime.name, "launch-template-version", FIRST_LAUNCH_TEMPLATE_VERSION)


def _store(session: Session) -> SsmReleaseStore:
    return SsmReleaseStore(session.clients.ssm, session.deployment_id)


def _pinned(session: Session, configured: str | None, part: str, version: str) -> str:
    """The image by its digest, where the registry is ours to ask."""
    if configured is not None:
        return configured
    repository = names.image_repository(session.deployment_id, part)
    digest = ContainerRegistry(session.clients.ecr).digest(repository, version)
    if digest is None:
        raise DeploymentError(f"{repository}:{version} is not in ECR; run the step images again with --redo images.")
    return f"{session.account.registry}/{repository}@{digest}"
