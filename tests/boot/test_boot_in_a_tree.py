"""An instance boots in a root tree (`boot_sandbox`), well and in every way that it may fail."""

from __future__ import annotations

import json
import os
from functools import cache

import pytest

import boot_sandbox
from boot_sandbox import INSTANCE, RUNTIME_IMAGE, SCHEDULER_IMAGE, Outcome, Scenario

# Eight minutes: nobody wants them by accident.
pytestmark = pytest.mark.skipif(
    "SDFLEET_BOOT_TREE" not in os.environ, reason="SDFLEET_BOOT_TREE names no root tree to boot"
)

GOOD = Scenario()


@cache
def outcome_of(scenario: Scenario) -> Outcome:
    obstacle = boot_sandbox.obstacle()
    assert obstacle is None, obstacle
    return boot_sandbox.run(scenario)


def failed(scenario: Scenario) -> Outcome:
    """A boot that must have been reported in every way, and given up."""
    outcome = outcome_of(scenario)
    assert outcome.hook == ["ABANDON"], outcome.journal
    assert outcome.readiness != 200
    assert outcome.failures == 1
    saved = [json.loads(line) for line in outcome.log if line.startswith("{")]
    (event,) = [one for one in saved if one.get("event") == "boot.failed" and "instance_id" in one]
    assert event["reason"] == outcome.reason
    assert event["instance_id"] == INSTANCE
    assert event["BootsFailed"] == 1
    # The units' last words.
    assert any("sdfleet" in line and not line.startswith("{") for line in outcome.log)
    return outcome


def test_an_instance_boots_makes_its_picture_and_completes_the_launch_hook() -> None:
    outcome = outcome_of(GOOD)
    assert outcome.hook == ["CONTINUE"], outcome.journal
    assert outcome.readiness == 200
    assert outcome.failures == 0
    assert outcome.boot_s is not None
    assert outcome.event("instance.in_service")["release"] == boot_sandbox.RELEASE


def test_systemd_has_no_complaint_about_the_units() -> None:
    assert outcome_of(GOOD).complaints == ""


def test_one_line_tells_where_the_seconds_went() -> None:
    line = outcome_of(GOOD).event("boot.completed")
    expected = {"disks", "scheduler_image", "scheduler", "models", "runtime", "picture"}
    assert expected <= line["phases"].keys()
    assert 0 < max(line["phases"].values()) <= line["total_s"]
    assert line["waited_for"][-1] == "picture"
    assert line["BootSeconds"] == line["total_s"]


def test_the_models_come_while_the_runtime_starts_and_it_is_not_started_twice_for_them() -> None:
    outcome = outcome_of(GOOD)
    assert [one["key"] for one in outcome.events if one["event"] == "model.fetched"]
    assert [one for one in outcome.events if one["event"] == "runtime.restart_wanted"] == []
    assert outcome.marks.count("runtime begin") == 1


def test_the_runtime_reaches_neither_the_metadata_service_nor_what_listens_on_the_machine() -> None:
    assert outcome_of(GOOD).reached == {"metadata": False, "machine": False}


def test_user_data_alone_makes_an_instance_of_a_stock_ami() -> None:
    outcome = outcome_of(Scenario(ami_brings_files=False))
    assert outcome.hook == ["CONTINUE"], outcome.journal
    assert outcome.readiness == 200


@pytest.mark.parametrize("tag", ["sdfleet-scheduler-image", "sdfleet-release"])
def test_an_instance_without_one_of_its_tags_is_given_up(tag: str) -> None:
    outcome = failed(Scenario(missing_tags=(tag,)))
    assert outcome.reason == f"The instance has no tag {tag}, which its launch template's version gives it."


def test_an_instance_without_its_model_is_given_up() -> None:
    outcome = failed(Scenario(has_model=False))
    assert str(outcome.reason).startswith("The first picture could not be made: model_not_found: ")
    assert boot_sandbox.MODEL in str(outcome.reason)


@pytest.mark.parametrize("image", [SCHEDULER_IMAGE, RUNTIME_IMAGE])
def test_an_instance_that_reaches_no_registry_is_given_up(image: str) -> None:
    outcome = failed(Scenario(missing_images=(image,)))
    assert str(outcome.reason).startswith(f"{image} cannot be pulled: Error response from daemon")


def test_an_instance_whose_disk_fills_up_is_given_up() -> None:
    outcome = failed(Scenario(disk_bytes=4_200_000, filled_bytes=1_600_000))
    assert "does not fit on this instance's disk" in str(outcome.reason)


def test_an_instance_whose_disk_is_too_small_for_its_models_is_given_up() -> None:
    outcome = failed(Scenario(disk_bytes=2_500_000))
    assert "the instance's model cache holds" in str(outcome.reason)


def test_an_instance_whose_disk_is_full_from_the_start_is_given_up() -> None:
    outcome = failed(Scenario(disk_bytes=500_000))
    assert outcome.reason == "The disks cannot be prepared; see sdfleet-disks in this stream."


def test_an_instance_whose_runtime_dies_is_given_up() -> None:
    outcome = failed(Scenario(is_runtime_dead=True))
    assert outcome.reason == "The runtime's container has ended three times during the boot, at last with status 3."
