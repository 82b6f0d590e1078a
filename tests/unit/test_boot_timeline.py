"""The phases of a boot."""

from __future__ import annotations

from datetime import datetime, timedelta

from builders import NOON
from sdfleet.domain.boot_timeline import Edge, Mark, Phase, read_marks, timeline


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def phase(name: Phase, begin: float, end: float) -> list[Mark]:
    return [Mark(name, Edge.BEGIN, at(begin)), Mark(name, Edge.END, at(end))]


BOOT = [
    *phase(Phase.DISKS, 20, 22),
    *phase(Phase.SCHEDULER, 22, 25),
    *phase(Phase.MODELS, 25, 45),
    *phase(Phase.RUNTIME, 23, 38),
    *phase(Phase.PICTURE, 45, 50),
]


def test_the_total_is_from_the_launch_to_the_picture() -> None:
    assert timeline(NOON, BOOT, kernel_at=at(12)).total == timedelta(seconds=50)


def test_the_machines_own_start_is_a_phase_too() -> None:
    seconds = timeline(NOON, BOOT, kernel_at=at(12)).seconds
    assert seconds["instance"] == 12
    assert seconds["system"] == 8


def test_a_boot_waited_for_what_it_could_not_begin_without() -> None:
    waited_for = timeline(NOON, BOOT, kernel_at=at(12)).waited_for
    assert waited_for == ("instance", "system", "disks", "scheduler", "models", "picture")


def test_a_machine_that_ran_before_the_launch_is_no_part_of_it() -> None:
    seconds = timeline(NOON, BOOT, kernel_at=at(-3600)).seconds
    assert "instance" not in seconds
    assert "system" not in seconds


def test_of_a_phase_that_was_begun_again_the_last_try_counts() -> None:
    marks = [*BOOT, Mark(Phase.RUNTIME, Edge.BEGIN, at(30))]
    assert timeline(NOON, marks).seconds["runtime"] == 8


def test_what_has_not_ended_is_left_out() -> None:
    assert "models" not in timeline(NOON, [Mark(Phase.MODELS, Edge.BEGIN, at(1))]).seconds


def test_marks_of_another_boot_are_left_out() -> None:
    assert timeline(NOON, phase(Phase.DISKS, -90, -80)).seconds == {}


def test_lines_are_marks_unless_they_were_cut_off() -> None:
    lines = ["disks begin 1764000000.250", "disks en", "", "unknown end 1764000001.0", "disks end 1e999"]
    (mark,) = read_marks(lines)
    assert (mark.phase, mark.edge, mark.at.timestamp()) == (Phase.DISKS, Edge.BEGIN, 1764000000.25)
