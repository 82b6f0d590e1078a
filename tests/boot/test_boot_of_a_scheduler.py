"""An instance's way into service, without a machine: the scheduler's part."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from builders import NOON
from sdfleet.errors import LifecycleActionNotFound, ServiceUnavailable
from sdfleet.memory.boot_records import MemoryBootRecords
from sdfleet.memory.clock import FakeClock
from sdfleet.telemetry import logs
from sdfleet_scheduler.boot import MOST_TRIES, Boot, BootContext
from sdfleet_scheduler.boot_notes import BootNotes
from sdfleet_scheduler.canary import Canary
from sdfleet_scheduler.runtimes.base import RuntimeFailure

CONTEXT = BootContext("sdfleet-sd", "sd", "1.0.0", "i-1", NOON, timedelta(minutes=10))


class Hook:
    def __init__(self, *answers: Exception) -> None:
        self.answers = list(answers)
        self.completed: list[str] = []

    def complete(self, instance_id: str) -> None:
        if self.answers:
            raise self.answers.pop(0)
        self.completed.append(instance_id)

    def heartbeat(self, instance_id: str) -> None:
        raise AssertionError("nothing is extended")


class Bench:
    """A boot, and what is known of it outside."""

    def __init__(self, directory: Path | None = None, **given: Any) -> None:
        self.clock = FakeClock(NOON + timedelta(seconds=20))
        self.records = MemoryBootRecords()
        self.hook = given.pop("hook", Hook())
        self.notes = None if directory is None else BootNotes(directory)
        self.left = 0
        self.output = io.StringIO()
        logs.configure("INFO", self.output)
        self.boot = Boot(
            given.pop("context", CONTEXT),
            self.records,
            self.clock,
            canary=given.pop("canary", self.picture),
            notes=self.notes,
            hook=self.hook,
            has_models=given.pop("has_models", lambda: True),
            on_failed=self.leave,
            **given,
        )

    async def picture(self) -> None:
        self.clock.advance(timedelta(seconds=4))

    def leave(self) -> None:
        self.left += 1

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = (json.loads(line) for line in self.output.getvalue().splitlines())
        return [line for line in lines if line["event"] == name]

    async def until(self, what: Callable[[], object]) -> None:
        """Run the boot until `what` holds."""
        running = asyncio.create_task(self.boot.run())
        try:
            async with asyncio.timeout(5):
                while not what():
                    assert not running.done()
                    await asyncio.sleep(0.01)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


def failing(failure: RuntimeFailure) -> Canary:
    async def make() -> None:
        raise failure

    return make


async def test_the_launch_hook_is_completed_after_the_first_picture_and_not_before() -> None:
    bench = Bench()
    await bench.until(lambda: True)
    assert bench.hook.completed == []
    assert await bench.boot.prove()
    await bench.until(lambda: bench.hook.completed)
    assert bench.hook.completed == ["i-1"]


async def test_one_line_tells_the_seconds_of_each_phase_with_their_metrics() -> None:
    bench = Bench()
    await bench.boot.prove()
    await bench.until(lambda: bench.events("boot.completed"))
    (line,) = bench.events("boot.completed")
    assert line["total_s"] == 24.0
    assert line["phases"]["picture"] == 4.0
    assert line["BootSeconds"] == 24.0
    assert line["BootPictureSeconds"] == 4.0
    assert line["Fleet"] == "sdfleet-sd"
    described = {one["Name"]: one["Unit"] for one in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]}
    assert described["BootsCompleted"] == "Count"
    assert described["BootPictureSeconds"] == "Seconds"


async def test_the_scripts_marks_are_in_the_line(tmp_path: Path) -> None:
    begun = NOON.timestamp()
    (tmp_path / "marks").write_text(f"disks begin {begun + 10}\ndisks end {begun + 11.5}\n")
    bench = Bench(tmp_path)
    await bench.boot.prove()
    await bench.until(lambda: bench.events("boot.completed"))
    assert bench.events("boot.completed")[0]["phases"]["disks"] == 1.5


async def test_the_scripts_are_told_of_the_end(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    await bench.boot.prove()
    await bench.until((tmp_path / "completed").exists)
    assert not (tmp_path / "failed").exists()


async def test_a_good_boot_ends_the_row_of_failures() -> None:
    bench = Bench()
    bench.records.failed("sd", "1.0.0", instance_id="i-0", reason="no model", now=NOON)
    await bench.boot.prove()
    await bench.until(lambda: bench.records.load("sd", "1.0.0").boot_s)
    assert bench.records.load("sd", "1.0.0").failures_in_a_row == 0


async def test_a_scheduler_that_starts_again_later_proves_nothing_twice(tmp_path: Path) -> None:
    (tmp_path / "completed").touch()
    bench = Bench(tmp_path, canary=failing(RuntimeFailure.permanent("model_not_found", "gone")))
    assert await bench.boot.prove()
    await bench.until(lambda: True)
    assert bench.hook.completed == []
    assert bench.events("boot.completed") == []


async def test_an_instance_without_a_picture_is_not_in_service_and_says_why(tmp_path: Path) -> None:
    bench = Bench(tmp_path, canary=failing(RuntimeFailure.permanent("model_not_found", "There is no model x.")))
    assert not await bench.boot.prove()
    await bench.until((tmp_path / "failed").exists)
    reason = (tmp_path / "failed").read_text()
    assert reason == "The first picture could not be made: model_not_found: There is no model x.\n"
    record = bench.records.load("sd", "1.0.0")
    assert (record.failures_in_a_row, record.instance_id) == (1, "i-1")
    assert bench.hook.completed == []
    # The machine gives the instance up, its log saved.
    assert bench.left == 0


async def test_where_no_script_looks_after_the_machine_the_process_leaves() -> None:
    bench = Bench(canary=failing(RuntimeFailure.permanent("model_not_found", "There is no model x.")))
    await bench.boot.prove()
    await bench.until(lambda: bench.left)
    assert bench.events("boot.failed")[0]["BootsFailed"] == 1


async def test_a_picture_that_fails_for_a_moment_is_tried_again() -> None:
    bench = Bench(canary=failing(RuntimeFailure.transient("busy", "Not now.")))
    for _ in range(MOST_TRIES - 1):
        assert not await bench.boot.prove()
        assert bench.boot.failure is None
    await bench.boot.prove()
    assert bench.boot.failure == "The first picture could not be made: busy: Not now."


async def test_a_boot_that_takes_too_long_says_what_is_missing() -> None:
    has_come: list[bool] = []
    bench = Bench(has_models=lambda: bool(has_come))
    bench.clock.advance(timedelta(minutes=11))
    await bench.until(lambda: bench.boot.failure)
    assert "the models have not come" in str(bench.boot.failure)

    has_come.append(True)
    bench = Bench(has_models=lambda: bool(has_come))
    bench.clock.advance(timedelta(minutes=11))
    await bench.until(lambda: bench.boot.failure)
    assert "the runtime's server is not ready" in str(bench.boot.failure)


async def test_trouble_that_cannot_pass_ends_the_boot_at_once() -> None:
    bench = Bench(trouble=lambda: "The disk is full.")
    await bench.until(lambda: bench.left)
    assert bench.boot.failure == "The disk is full."


async def test_a_failure_that_a_script_has_found_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / "failed").write_text("The runtime's image cannot be pulled.\n")
    bench = Bench(tmp_path)
    await bench.until(lambda: bench.events("boot.failed"))
    assert bench.events("boot.failed")[0]["reason"] == "The runtime's image cannot be pulled."
    assert not await bench.boot.prove()


async def test_without_a_limit_nothing_is_given_up() -> None:
    context = BootContext("sd", "sd", "1.0.0", "i-1", NOON, None)
    bench = Bench(context=context, trouble=lambda: "The disk is full.")
    bench.clock.advance(timedelta(days=1))
    await bench.until(lambda: True)
    assert bench.boot.failure is None
    assert await bench.boot.prove()


@pytest.mark.parametrize("answer", [ServiceUnavailable("throttled"), LifecycleActionNotFound()])
async def test_a_hook_that_cannot_be_completed_does_not_hold_the_instance_back(
    answer: Exception, tmp_path: Path
) -> None:
    bench = Bench(tmp_path, hook=Hook(answer))
    await bench.boot.prove()
    await bench.until((tmp_path / "completed").exists)
    assert bench.boot.is_over


async def test_the_machine_gives_the_instance_up_where_it_can_save_its_log(tmp_path: Path) -> None:
    with_machine, alone = Bench(tmp_path), Bench()
    for bench in (with_machine, alone):
        assert not bench.boot.is_given_up
        bench.boot.fail("no disk")
    assert with_machine.boot.is_given_up
    assert not alone.boot.is_given_up
