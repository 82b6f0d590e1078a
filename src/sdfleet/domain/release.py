"""Releases: what an instance runs, fixed for ever under a version's name."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any, Self

from sdfleet.errors import DeploymentRefused

#: As ECR's tags, which carry it, without what SSM's paths do not take (Amazon ECR API, PutImage; SSM PutParameter).
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Release:
    """Written once. A fleet moves from one to another by a rollout (`sdfleet.domain.rollout`)."""

    version: str
    created_at: datetime
    #: Who built it, as the account calls them.
    created_by: str
    #: By digest (`repository@sha256:...`); in local mode the directory of a snapshot.
    scheduler_image: str
    #: By digest; None: the runtime is not ours to release (a test pattern, a server of the user's own).
    runtime_image: str | None = None
    #: None: that of the deployment's configuration.
    ami_id: str | None = None
    #: The commit that it was built from; None: outside a repository.
    commit: str | None = None

    def __post_init__(self) -> None:
        check_version(self.version)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "created_at": self.created_at.isoformat()}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """Keys that this version does not know are left out: a later one may have written the record."""
        known = {field.name for field in fields(cls)}
        given = {key: part for key, part in value.items() if key in known}
        return cls(**{**given, "created_at": datetime.fromisoformat(given["created_at"]).astimezone(UTC)})


def check_version(version: str) -> None:
    """Raises:
    DeploymentRefused: no image tag and no parameter can be named so.
    """
    if VERSION.fullmatch(version) is None:
        raise DeploymentRefused(
            f"The version {version[:80]!r} does not serve as a name: use 1 to 64 letters, digits, dots, hyphens and "
            "underscores, a letter or digit first."
        )
