"""`sdfleet config`: what it prints, what it writes, how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sdfleet.config import Config, load
from sdfleet_cli.main import main

GUIDANCE = """\
stackName: sdoneks
modelBucketArn: arn:aws:s3:::dummy-bucket
modelsRuntime:
- name: sdruntime
  namespace: default
  type: sdwebui
  modelFilename: m.safetensors
"""


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["config", *map(str, arguments)])


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    file = tmp_path / "ours.yaml"
    file.write_text("stackName: studio\nmodelsRuntime:\n- {name: a, type: comfyui, fleet: {maxSize: 9}}\n")
    return file


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    file = tmp_path / "theirs.yaml"
    file.write_text(GUIDANCE)
    return file


def test_a_sound_file_is_told_in_short(ours: Path) -> None:
    result = run("check", ours)
    assert result.exit_code == 0
    assert "nothing is wrong. Deployment studio." in result.output
    assert "0 to 9" in result.output


def test_check_as_json_holds_the_defaults_too(ours: Path) -> None:
    document = json.loads(run("check", ours, "--json").output)
    assert document["APIGW"]["throttle"] == {"rateLimit": 30.0, "burstLimit": 50}
    assert Config.model_validate(document) == load(ours)


def test_every_error_is_a_line_and_the_exit_status_is_that_of_wrong_usage(ours: Path) -> None:
    ours.write_text("stackNam: a\nwaitingCap: -1\n")
    result = run("check", ours)
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        f"Error: {ours}:1: stackNam is no known key; did you mean stackName?",
        f"Error: {ours}:2: waitingCap is -1; it must be at least 0.",
    ]


def test_a_region_is_checked_too(ours: Path) -> None:
    ours.write_text(
        "modelsRuntime:\n- name: a\n  type: comfyui\n  fleet:\n    instanceTypes: [g4dn.xlarge, g6.xlarge]\n"
    )
    result = run("check", ours, "-R", "cn-north-1")
    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: {ours}:5: modelsRuntime[0].fleet.instanceTypes[1] is g6.xlarge, which")
    assert run("check", ours, "-R", "us-west-2").exit_code == 0


def test_a_converted_file_is_one_of_ours_and_says_so(theirs: Path, tmp_path: Path) -> None:
    output = tmp_path / "config.yaml"
    result = run("convert", theirs, "-o", output)
    assert result.exit_code == 0
    assert load(output).stack_name == "sdoneks"
    assert f"{theirs}:5: modelsRuntime[0].namespace has no counterpart" in result.stderr
    assert run("check", output).exit_code == 0


def test_a_file_that_is_there_is_never_overwritten(theirs: Path, ours: Path) -> None:
    before = ours.read_text()
    result = run("convert", theirs, "-o", ours)
    assert result.exit_code == 3
    assert "is there already" in result.stderr
    assert ours.read_text() == before


def test_without_an_output_the_new_file_is_printed_alone(theirs: Path, tmp_path: Path) -> None:
    result = run("convert", theirs)
    printed = tmp_path / "printed.yaml"
    printed.write_text(result.stdout)
    assert load(printed).model_bucket == "dummy-bucket"


def test_convert_as_json_has_the_lines_of_the_notes(theirs: Path) -> None:
    document = json.loads(run("convert", theirs, "--json").stdout)
    assert document["config"]["stackName"] == "sdoneks"
    assert {note["line"] for note in document["notes"]} >= {5}
    assert document["problems"] == []


def test_what_must_still_be_filled_in_is_named(theirs: Path) -> None:
    theirs.write_text(GUIDANCE.replace("dummy-bucket", "<bucket name>"))
    assert (
        "To be mended in the new file: modelBucketArn holds the placeholder <bucket name>"
        in run("convert", theirs).stderr
    )


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    result = run("convert", tmp_path / "none.yaml")
    assert result.exit_code == 2
    assert "there is no such file" in result.stderr
