"""A further release of a deployment: what has to be built for it, and what it keeps of the present one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from sdfleet.aws.release_store import SsmReleaseStore
from sdfleet.config.runtime import RuntimeConfig
from sdfleet.domain import names
from sdfleet.domain.release import Release
from sdfleet.domain.task import RuntimeType
from sdfleet.errors import DeploymentRefused
from sdfleet_cli.deployment.first_release import record, release_of
from sdfleet_cli.deployment.image_steps import ImageBuild, build_images, builds_of
from sdfleet_cli.deployment.session import Session

#: What stands for every runtime where one can be named.
ALL_RUNTIMES = ""


@dataclass(frozen=True)
class NewRelease:
    version: str
    builds: tuple[ImageBuild, ...]
    #: Images of the present releases, by runtime.
    kept: Mapping[str, str]
    #: AMIs of the present releases, by runtime. What one brings is there by its digest, or pulled.
    ami_ids: Mapping[str, str]

    def make(self, session: Session) -> list[str]:
        """Build, push, record; the runtimes that have the release now.

        Raises:
            DeploymentError: something of it does not work; a new run goes on.
        """
        if self.builds:
            build_images(session, self.version, self.builds)
        for runtime in session.config.runtimes:
            record(
                session,
                runtime,
                self.version,
                kept_image=self.kept.get(runtime.name),
                kept_ami_id=self.ami_ids.get(runtime.name),
            )
        return [runtime.name for runtime in session.config.runtimes]


def plan_release(session: Session, version: str, *, with_runtimes: str | None) -> NewRelease:
    """`with_runtimes`: the runtime whose image is built anew, or `ALL_RUNTIMES`; None: all keep what they have.

    One that has none yet is built in any case.

    Raises:
        DeploymentRefused: the version exists, or there is no such runtime.
    """
    runtimes = session.config.runtimes
    store = SsmReleaseStore(session.clients.ssm, session.deployment_id)
    if with_runtimes and with_runtimes not in {one.name for one in runtimes}:
        raise DeploymentRefused(
            f"{session.deployment_id} has no runtime {with_runtimes}; it has "
            f"{', '.join(sorted(one.name for one in runtimes))}."
        )
    if all(store.read(one.name, f"releases/{version}") is not None for one in runtimes):
        raise DeploymentRefused(
            f"{version} exists in {session.deployment_id} and never changes; choose another version."
        )
    present = {one.name: release for one in runtimes if (release := _present_release(session, store, one)) is not None}
    kept = {
        one.name: image
        for one in runtimes
        if with_runtimes not in (ALL_RUNTIMES, one.name)
        and _is_built(one)
        and one.name in present
        and (image := present[one.name].runtime_image) is not None
    }
    ami_ids = {name: release.ami_id for name, release in present.items() if release.ami_id is not None}
    unneeded = {names.image_repository(session.deployment_id, name) for name in kept}
    builds = [one for one in builds_of(session.deployment_id, session.config) if one.repository not in unneeded]
    return NewRelease(version, tuple(builds), kept, ami_ids)


def _is_built(runtime: RuntimeConfig) -> bool:
    return runtime.type is not RuntimeType.TEST_PATTERN and runtime.images.runtime is None


def _present_release(session: Session, store: SsmReleaseStore, runtime: RuntimeConfig) -> Release | None:
    version = release_of(session, runtime.name)
    written = store.read(runtime.name, f"releases/{version}") if version is not None else None
    return None if written is None else Release.from_json(json.loads(written))
