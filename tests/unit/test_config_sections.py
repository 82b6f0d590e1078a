"""Every section of config.yaml: its keys, its limits, what must hold between them, and what follows from them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from sdfleet.config import Config, FleetConfig, RuntimeConfig, ScalingConfig, load
from sdfleet.config.description import Entry, entries
from sdfleet.config.keys import keys_at
from sdfleet.config.loading import problems_in
from sdfleet.domain import scaling
from sdfleet.domain.content import Path as KeyPath
from sdfleet.domain.content import format_path
from sdfleet.domain.task import RuntimeType
from sdfleet.errors import ConfigError

DIGITS = "0123456789abcdef0"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
#: What a section must hold to be no error by itself.
REQUIRED: dict[str, dict[str, Any]] = {
    "modelsRuntime": {"name": "a", "type": "custom"},
    "domainName": {
        "name": "images.example.com",
        "certificateArn": f"arn:aws:acm:us-east-1:123456789012:certificate/{COMMIT}",
    },
    "customNodes": {"repository": "https://example.com/nodes", "commit": COMMIT},
    "extensions": {"repository": "https://example.com/extension", "commit": COMMIT},
    "steps": {"fromMessages": 0, "addInstances": 0},
}


def sections(section: type[BaseModel] = Config, path: KeyPath = ()) -> Iterator[tuple[KeyPath, type[BaseModel]]]:
    """Each with where it stands; entries of lists are the first."""
    yield path, section
    for entry in entries(section):
        if entry.section is not None:
            yield from sections(entry.section, (*path, entry.key, 0) if entry.is_list else (*path, entry.key))


def placed_at(path: KeyPath, values: Any) -> Any:
    """`values` below the keys of `path`, with all that the sections above need."""
    for depth in range(len(path) - 1, -1, -1):
        part = path[depth]
        if isinstance(part, int):
            values = [values]
        else:
            above = _required(path[:depth])
            values = {**above, part: values}
    return values


def _required(path: KeyPath) -> dict[str, Any]:
    name = next((part for part in reversed(path) if isinstance(part, str)), "")
    return dict(REQUIRED.get(name, {}))


def problems(values: Any) -> list[str]:
    return [problem.text for problem in problems_in(values)]


def runtime(**keys: Any) -> dict[str, Any]:
    return {"modelsRuntime": [{"name": "a", "type": "comfyui", **keys}]}


def fleet(**keys: Any) -> dict[str, Any]:
    return runtime(fleet=keys)


SECTIONS = list(sections())


def holds_keys(entry: Entry) -> bool:
    return entry.section is not None or isinstance(entry.default, dict)


def shown(value: Any) -> str:
    return format_path(value) if isinstance(value, tuple) else getattr(value, "key", getattr(value, "__name__", ""))


@pytest.mark.parametrize(("path", "section"), SECTIONS, ids=shown)
def test_a_misspelt_key_of_any_section_names_the_nearest(path: KeyPath, section: type[BaseModel]) -> None:
    for entry in entries(section):
        values = {**_required(path), f"{entry.key}x": 1}
        found = problems(placed_at(path, values))
        expected = f"{format_path((*path, f'{entry.key}x'))} is no known key; did you mean {entry.key}?"
        assert expected in found


@pytest.mark.parametrize(("path", "section"), SECTIONS, ids=shown)
def test_the_keys_of_any_section_are_known_by_its_place(path: KeyPath, section: type[BaseModel]) -> None:
    assert keys_at(Config, path) == [entry.key for entry in entries(section)]


@pytest.mark.parametrize(("path", "section"), SECTIONS, ids=shown)
def test_a_value_of_no_sense_is_an_error_at_its_own_line(
    path: KeyPath, section: type[BaseModel], tmp_path: Path
) -> None:
    values = placed_at(path, {entry.key: 1 if holds_keys(entry) else {"no": "sense"} for entry in entries(section)})
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(values, sort_keys=False))
    with pytest.raises(ConfigError) as caught:
        load(file)
    written = file.read_text().splitlines()
    for entry in entries(section):
        start = f"{format_path((*path, entry.key))} is "
        (line,) = [line for line in str(caught.value).splitlines() if start in line and "; it must be " in line]
        assert written[int(line.split(":")[1]) - 1].lstrip(" -").startswith(f"{entry.key}:")


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (fleet(minSize=6), "modelsRuntime[0].fleet.minSize is 6, above maxSize (5); lower it, or raise maxSize"),
        (
            fleet(onDemandBase=3, maxSize=2),
            "modelsRuntime[0].fleet.onDemandBase is 3, above maxSize (2); lower it, or raise maxSize",
        ),
        (
            fleet(instanceTypes=["g5.xlarge", "g5.xlarge"]),
            "modelsRuntime[0].fleet.instanceTypes[1] is g5.xlarge, which stands in the list already; remove it",
        ),
        (
            fleet(instanceTypes=["g6.xlarge", "g5g.xlarge"]),
            "modelsRuntime[0].fleet.instanceTypes[1] is g5g.xlarge, an Arm machine; AWS's stock GPU AMI is for x86-64,"
            " use others or set amiId",
        ),
        (
            fleet(volume={"throughput": 1000}),
            "modelsRuntime[0].fleet.volume.throughput is 1000; with these iops gp3 gives at most 750, raise iops",
        ),
        (
            fleet(volume={"iops": 200}),
            "modelsRuntime[0].fleet.volume.iops is 200; gp3 has at least 3000, at no extra price",
        ),
        (
            fleet(volume={"type": "io2", "throughput": None}),
            "modelsRuntime[0].fleet.volume.iops is missing; a volume of type io2 needs it",
        ),
        (
            fleet(volume={"type": "gp2", "throughput": None, "iops": 3000}),
            "modelsRuntime[0].fleet.volume.iops is for gp3, io1, io2 only; remove it, or use gp3",
        ),
        (
            fleet(volume={"type": "gp2"}),
            "modelsRuntime[0].fleet.volume.throughput is for gp3 only; set it to null, or use gp3",
        ),
        (
            fleet(scaling={"steps": [{"fromMessages": 5, "addInstances": 1}]}),
            "modelsRuntime[0].fleet.scaling.steps[0].fromMessages is 5; the first step must begin at 0",
        ),
        (
            fleet(scaling={"steps": [{"fromMessages": 0, "addInstances": 2}]}),
            "modelsRuntime[0].fleet.scaling.steps[0].addInstances is 2; no message must add no instance",
        ),
        (
            fleet(scaling={"steps": [{"fromMessages": 0, "addInstances": 0}]}),
            "modelsRuntime[0].fleet.scaling.steps adds no instance in any step; give one of them addInstances above 0",
        ),
        (
            fleet(
                scaling={
                    "steps": [
                        {"fromMessages": 0, "addInstances": 0},
                        {"fromMessages": 9, "addInstances": 1},
                        {"fromMessages": 9, "addInstances": 2},
                    ]
                }
            ),
            "modelsRuntime[0].fleet.scaling.steps[2].fromMessages is 9;"
            " each step must begin above the one before it (9)",
        ),
        (
            runtime(extensions=[REQUIRED["extensions"]]),
            "modelsRuntime[0].extensions is for runtimes of type sdwebui only; remove it",
        ),
        (
            runtime(customNodes=[REQUIRED["customNodes"]], images={"runtime": "example.com/comfyui:1"}),
            "modelsRuntime[0].customNodes goes into the image that is built by us; put it into yours, or remove"
            " images.runtime",
        ),
        (
            {"network": {"vpcId": "vpc-12345678"}},
            "network.subnetIds is missing; an existing VPC needs the subnets to launch in",
        ),
        (
            {"network": {"subnetIds": ["subnet-12345678"]}},
            "network.vpcId is missing; subnetIds belong to an existing VPC, name it",
        ),
        (
            {"outputs": {"bucketName": "my-pictures", "cdn": True}},
            "outputs.cdn is true while bucketName names a bucket of yours, whose policy would have to let CloudFront"
            " in; remove cdn for signed S3 links, or bucketName for a new bucket behind CloudFront",
        ),
        (
            {"api": False, "domainName": REQUIRED["domainName"]},
            "domainName is set while api is false; a domain is for the API, remove one of them",
        ),
    ],
)
def test_what_does_not_go_together_says_what_to_do(values: dict[str, Any], problem: str) -> None:
    assert problems(values) == [problem]


@pytest.mark.parametrize(
    "name", ["g4dn.xlarge", "gr6.4xlarge", "g6e.xlarge", "p5en.48xlarge", "inf2.xlarge", "c7i.xlarge"]
)
def test_a_machine_that_the_stock_ami_runs_on_is_taken(name: str) -> None:
    assert problems_in(fleet(instanceTypes=[name])) == []


@pytest.mark.parametrize("name", ["a1.xlarge", "m7g.large", "c7gn.xlarge", "im4gn.large", "p6e-gb200.36xlarge"])
def test_an_arm_machine_needs_an_ami_of_its_own(name: str) -> None:
    assert problems_in(fleet(instanceTypes=[name]))
    assert problems_in(fleet(instanceTypes=[name], amiId="ami-0123456789abcdef0")) == []


def test_what_does_not_go_together_is_told_beside_what_is_wrong_by_itself() -> None:
    found = problems({"stackName": "1", "network": {"vpcId": "vpc-12345678"}})
    assert [text.split(" ")[0] for text in found] == ["stackName", "network.subnetIds"]


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("cidr", ["10.1.0.0/16", "192.168.4.0/24"], ["10.0.0.0/8", "10.0.0.1/16", "8.8.0.0/16", "10.0.0.0/28", "x"]),
        ("vpcId", ["vpc-0123456789abcdef0"], ["vpc-1", "12345678"]),
    ],
)
def test_a_network_is_a_private_block_or_one_that_exists(key: str, good: list[str], bad: list[str]) -> None:
    for value in good:
        assert not any(text.startswith(f"network.{key}") for text in problems({"network": {key: value}}))
    for value in bad:
        assert any(text.startswith(f"network.{key} is ") for text in problems({"network": {key: value}}))


@pytest.mark.parametrize(
    "image",
    [
        "nginx",
        "sdwebui:1.2.0",
        "localhost:5000/a/b:latest",
        "public.ecr.aws/bingjiao/sd-on-eks/sdwebui:latest",
        "123456789012.dkr.ecr.cn-northwest-1.amazonaws.com.cn/sd-on-eks/sdwebui:latest",
        "ghcr.io/org/comfyui_x--y@sha256:" + "0" * 64,
    ],
)
def test_an_image_may_come_from_any_oci_registry(image: str) -> None:
    assert problems(runtime(images={"runtime": image})) == []


@pytest.mark.parametrize("image", ["https://a/b", "a b", "a/B:1", "a:", "a/b@sha256:12", "<account>.dkr.ecr/x", ""])
def test_what_is_no_image_is_refused(image: str) -> None:
    assert any("must be a container image" in text for text in problems(runtime(images={"runtime": image})))


@pytest.mark.parametrize("commit", ["main", "v1.0", "0123456", COMMIT.upper(), COMMIT + "0"])
def test_foreign_code_is_pinned_to_a_commit(commit: str) -> None:
    nodes = [{"repository": "https://github.com/a/b", "commit": commit}]
    assert "branches and tags can be moved by others" in problems(runtime(customNodes=nodes))[0]


@pytest.mark.parametrize("url", ["http://a/b", "git@github.com:a/b", "https://key@github.com/a/b", "https://a/b?x=1"])
def test_a_repository_is_fetched_by_https_and_without_a_key(url: str) -> None:
    assert "must be an https:// address" in problems(runtime(customNodes=[{"repository": url, "commit": COMMIT}]))[0]


@pytest.mark.parametrize("name", ["SDFLEET_X", "AWS_REGION", "1A", "a-b", ""])
def test_a_runtimes_environment_leaves_ours_alone(name: str) -> None:
    assert problems(runtime(environment={name: "x"}))


@pytest.mark.parametrize("key", ["aws:x", "AWS:x", "a/b", "", "a b"])
def test_a_tag_must_fit_the_instance_metadata(key: str) -> None:
    assert problems({"tags": {key: "x"}})


def test_tags_are_kept_as_they_are() -> None:
    assert Config.model_validate({"tags": {"team": "art", "cost:centre": "1 2"}}).tags == {
        "team": "art",
        "cost:centre": "1 2",
    }


@pytest.mark.parametrize("email", ["a@example.com", "on.call+sd@example.co.uk"])
def test_an_alarm_goes_to_an_address(email: str) -> None:
    assert Config.model_validate({"alarmEmail": email}).alarm_email == email
    assert problems({"alarmEmail": email.replace("@", "")})


def test_the_default_steps_are_those_of_the_documents() -> None:
    table = ScalingConfig().step_table
    assert table == scaling.DEFAULT_STEPS
    assert [table.addition(count) for count in (0, 9, 10, 49, 50, 100, 101, 5000)] == [0, 0, 1, 1, 2, 2, 3, 3]


def test_the_default_fleet_is_the_documented_one() -> None:
    fleet = FleetConfig()
    assert (fleet.min_size, fleet.max_size) == (0, 5)
    assert (fleet.scaling.warmup, fleet.scaling.cooldown) == (timedelta(minutes=5), timedelta(minutes=5))
    assert {name.split(".")[0] for name in fleet.instance_types} == {"g5", "g6", "g4dn"}
    assert len(fleet.instance_types) >= 4
    assert fleet.allocation_strategy == "price-capacity-optimized"


@pytest.mark.parametrize(
    ("kind", "port"), [(RuntimeType.SDWEBUI, 7860), (RuntimeType.COMFYUI, 8188), (RuntimeType.CUSTOM, 9000)]
)
def test_each_server_has_its_own_port_unless_told(kind: RuntimeType, port: int) -> None:
    assert RuntimeConfig(name="a", type=kind).server_port == port
    assert RuntimeConfig(name="a", type=kind, port=8080).server_port == 8080


def test_a_lease_is_renewed_three_times_and_shorter_than_the_queues_visibility() -> None:
    runtime = RuntimeConfig(name="a", type=RuntimeType.COMFYUI)
    assert runtime.heartbeat * 3 == pytest.approx(runtime.lease, abs=timedelta(milliseconds=1))
    assert runtime.visibility_timeout > runtime.lease
    assert runtime.max_receive_count >= 100


@pytest.mark.parametrize("timeout_s", [1, 600, 3600, 39600])
def test_a_termination_hook_lets_a_task_end_within_what_auto_scaling_takes(timeout_s: int) -> None:
    hook = RuntimeConfig(name="a", type=RuntimeType.COMFYUI, task_timeout_s=timeout_s).termination_hook_timeout
    assert timedelta(seconds=30) <= hook <= timedelta(hours=2)
    assert hook >= min(timedelta(seconds=timeout_s), timedelta(hours=2))
