"""What flags write into the configuration, and what they leave alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdfleet.config import load
from sdfleet.errors import ConfigError
from sdfleet_cli.deployment.configuration import Wish, deployment_id_of, fill_in
from sdfleet_cli.deployment.yaml_edit import with_value

SHIPPED = Path(__file__).parents[2] / "config" / "config.yaml"


def a_file(directory: Path, text: str) -> Path:
    file = directory / "config.yaml"
    file.write_text(text)
    return file


def test_a_file_as_it_came_takes_every_flag(tmp_path: Path) -> None:
    file = a_file(tmp_path, SHIPPED.read_text())
    fill_in(
        file,
        [
            Wish("-n", ("stackName",), "art"),
            Wish("-b", ("modelBucketArn",), "arn:aws:s3:::my-models"),
            Wish("-s", ("modelsRuntime", 0, "fleet", "volume", "snapshotId"), "snap-0123456789abcdef0"),
            Wish("-r", ("modelsRuntime", 0, "name"), "comfy"),
            Wish("-t", ("modelsRuntime", 0, "type"), "comfyui"),
        ],
    )
    config = load(file)
    assert (config.stack_name, config.model_bucket) == ("art", "my-models")
    runtime = config.runtimes[0]
    assert (runtime.name, runtime.type, runtime.fleet.volume.snapshot_id) == (
        "comfy", "comfyui", "snap-0123456789abcdef0",
    )  # fmt: skip


def test_comments_and_order_stay(tmp_path: Path) -> None:
    file = a_file(tmp_path, "# mine\nwaitingCap: 3 # three\nmodelBucketArn: null # none yet\n")
    fill_in(file, [Wish("-b", ("modelBucketArn",), "arn:aws:s3:::my-models")])
    assert file.read_text() == "# mine\nwaitingCap: 3 # three\nmodelBucketArn: arn:aws:s3:::my-models # none yet\n"


def test_what_a_person_has_set_is_not_replaced(tmp_path: Path) -> None:
    text = "waitingCap: 3\nmodelBucketArn: arn:aws:s3:::mine\n"
    file = a_file(tmp_path, text)
    with pytest.raises(ConfigError, match=r"config.yaml:2: modelBucketArn is arn:aws:s3:::mine, and -b says"):
        fill_in(file, [Wish("-b", ("modelBucketArn",), "arn:aws:s3:::other")])
    assert file.read_text() == text


def test_the_same_flag_again_changes_nothing(tmp_path: Path) -> None:
    file = a_file(tmp_path, "waitingCap: 3\n")
    wishes = [Wish("-b", ("modelBucketArn",), "arn:aws:s3:::mine")]
    assert fill_in(file, wishes) != []
    assert fill_in(file, wishes) == []


def test_a_region_gives_way_for_one_run(tmp_path: Path) -> None:
    file = a_file(tmp_path, "region: us-east-1\nwaitingCap: 3\n")
    assert fill_in(file, [Wish("-R", ("region",), "us-west-2", overrides=True)]) == []
    assert load(file).region == "us-east-1"


def test_what_would_not_be_valid_is_not_written(tmp_path: Path) -> None:
    file = a_file(tmp_path, "waitingCap: 3\n")
    with pytest.raises(ConfigError, match="stackName is -art"):
        fill_in(file, [Wish("-n", ("stackName",), "-art")])
    assert file.read_text() == "waitingCap: 3\n"
    assert [one.name for one in tmp_path.iterdir()] == ["config.yaml"]


def test_without_a_file_a_short_one_is_written(tmp_path: Path) -> None:
    file = tmp_path / "config" / "config.yaml"
    fill_in(file, [Wish("-r", ("modelsRuntime", 0, "name"), "mine")])
    assert load(file).runtimes[0].name == "mine"


@pytest.mark.parametrize(
    ("argument", "option", "text", "named"),
    [
        (None, None, "waitingCap: 3\n", "sdfleet"),
        (None, None, "stackName: art\n", "art"),
        (None, "art", "waitingCap: 3\n", "art"),
        ("art", "art", "stackName: art\n", "art"),
        # Nobody has chosen the default.
        ("art", None, "stackName: sdfleet\n", "art"),
    ],
)
def test_the_deployments_name_is_the_argument_else_the_flag_else_the_files(
    tmp_path: Path, argument: str | None, option: str | None, text: str, named: str
) -> None:
    assert deployment_id_of(argument=argument, option=option, config_file=a_file(tmp_path, text)) == named


@pytest.mark.parametrize(
    ("argument", "option", "text"),
    [("a", "b", "waitingCap: 3\n"), ("a", None, "stackName: b\n"), ("local", None, "waitingCap: 3\n")],
)
def test_two_names_that_differ_are_an_error(tmp_path: Path, argument: str, option: str | None, text: str) -> None:
    with pytest.raises(ConfigError):
        deployment_id_of(argument=argument, option=option, config_file=a_file(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "path", "expected"),
    [
        ("", ("a",), "a: x\n"),
        ("a:\n", ("a",), "a: x\n"),
        ("a: 'b'\n", ("a",), "a: x\n"),
        ("a: 1", ("b", "c"), "a: 1\nb:\n  c: x\n"),
        ("l:\n  - n: 1\n    m: 2\n\n# end\nz: 3\n", ("l", 0, "f", "v"),
         "l:\n  - n: 1\n    m: 2\n    f:\n      v: x\n\n# end\nz: 3\n"),
        ("l:\n- n: 1\n- n: 2\n", ("l", 0, "m"), "l:\n- n: 1\n  m: x\n- n: 2\n"),
        ("s:\n  a: 1\nz: 3\n", ("s", "b"), "s:\n  a: 1\n  b: x\nz: 3\n"),
    ],
)  # fmt: skip
def test_a_value_goes_where_its_section_ends(text: str, path: tuple[str | int, ...], expected: str) -> None:
    assert with_value(text, path, "x") == expected
