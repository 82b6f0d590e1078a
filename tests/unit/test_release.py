from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sdfleet.domain.release import Release
from sdfleet.errors import DeploymentRefused

RELEASE = Release("1.1.0", datetime(2026, 11, 21, tzinfo=UTC), "ada", "repository@sha256:ab", commit="cf0de06")


def test_a_release_survives_its_record() -> None:
    assert Release.from_json(RELEASE.to_json()) == RELEASE


def test_a_record_of_a_later_version_is_read_as_far_as_it_is_known() -> None:
    assert Release.from_json({**RELEASE.to_json(), "signature": "later"}) == RELEASE


@pytest.mark.parametrize("version", ["", "-1", "1.0/2", "a" * 65, "1 0", "../x", "v1\n"])
def test_a_version_that_is_no_image_tag_is_refused(version: str) -> None:
    with pytest.raises(DeploymentRefused, match="does not serve as a name"):
        Release(version, RELEASE.created_at, "ada", "image")
