"""The storm's tasks for a real ComfyUI: whose a picture is must show."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import pytest
from PIL import Image

from builders import a_task
from sdfleet.domain.task import Artifact
from sdfleet_local.chaos.comfyui_workload import ComfyUiWorkload, fingerprint_in, fingerprint_of

WORKLOAD = ComfyUiWorkload(seconds=0.3)


def drawn(task_id: str, *, shade: int = 0) -> bytes:
    """What ComfyUI makes of the task's workflow; `shade`: what it loses on the way."""
    color, width, height = fingerprint_of(task_id)
    red, green, blue = (max(0, value - shade) for value in color.to_bytes(3))
    data = BytesIO()
    Image.new("RGB", (width, height), (red, green, blue)).save(data, "PNG")
    return data.getvalue()


def test_a_task_is_known_again_in_the_servers_queue() -> None:
    assert fingerprint_in(WORKLOAD.content(0, "one", padding=0)) == fingerprint_of("one") != fingerprint_of("two")


@pytest.mark.parametrize("foreign", [None, {}, {"1": {"class_type": "LoadImage", "inputs": {}}}])
def test_somebody_elses_workflow_is_no_task_of_the_storm(foreign: object) -> None:
    assert fingerprint_in(foreign) is None


@pytest.mark.parametrize("shade", [0, 1])
def test_a_picture_is_its_tasks_own(shade: int) -> None:
    assert WORKLOAD.is_picture("one", drawn("one", shade=shade))


@pytest.mark.parametrize("data", [drawn("two"), drawn("one")[:-20], b"", b"no picture"])
def test_another_tasks_or_a_damaged_picture_is_not(data: bytes) -> None:
    assert not WORKLOAD.is_picture("one", data)


def test_an_output_names_the_tasks_own_picture() -> None:
    task = replace(a_task(id="one"), artifacts=(Artifact("k", "s3://b/k", "image/png", 1),))
    output = {"outputs": {"3": {"images": [{"filename": "x.png", "url": "s3://b/k"}]}}}
    assert WORKLOAD.is_output(task, output)
    assert not WORKLOAD.is_output(replace(task, artifacts=(Artifact("l", "s3://b/l", "image/png", 1),)), output)
    assert not WORKLOAD.is_output(task, {})


def test_some_workflows_are_wrong_in_both_ways() -> None:
    flaws = {WORKLOAD.flaw(number) for number in range(40)}
    assert flaws == {None, "execution_failed", "validation_failed"}
