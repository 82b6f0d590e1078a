"""ReleaseStore, in memory and on SSM."""

from __future__ import annotations

from sdfleet.aws.clients import Clients
from sdfleet.aws.release_store import SsmReleaseStore
from sdfleet.fleet_ports import ReleaseStore


def test_a_parameter_that_was_never_written_is_none(releases: ReleaseStore) -> None:
    assert releases.read("sdruntime", "image-version") is None


def test_a_parameter_is_read_as_it_was_last_written(releases: ReleaseStore) -> None:
    releases.write("sdruntime", "image-version", "1")
    releases.write("sdruntime", "image-version", "2")
    assert releases.read("sdruntime", "image-version") == "2"


def test_what_is_created_once_stays_as_it_was(releases: ReleaseStore) -> None:
    assert releases.create("sdruntime", "releases/1.0.0", "first")
    assert not releases.create("sdruntime", "releases/1.0.0", "second")
    assert releases.read("sdruntime", "releases/1.0.0") == "first"
    assert releases.create("comfyruntime", "releases/1.0.0", "another runtime's")


def test_every_runtime_has_its_own(releases: ReleaseStore) -> None:
    releases.write("sdruntime", "image-version", "1")
    assert releases.read("comfyruntime", "image-version") is None


def test_the_parameter_lies_where_other_tools_look_for_it(clients: Clients) -> None:
    SsmReleaseStore(clients.ssm, "here").write("sdruntime", "image-version", "1")
    assert clients.ssm.get_parameter(Name="/sdfleet/here/sdruntime/image-version")["Parameter"]["Value"] == "1"
