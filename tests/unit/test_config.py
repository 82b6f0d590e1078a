"""config/config.yaml: what it may hold, and what its errors tell."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from sdfleet.config import Config, RuntimeConfig, load
from sdfleet.domain.task import RuntimeType
from sdfleet.errors import ConfigError

SHIPPED = Path(__file__).parents[2] / "config" / "config.yaml"

#: As the EKS guidance's documentation prints it.
OF_THE_EKS_GUIDANCE = """\
stackName: sdoneks
modelBucketArn: arn:aws-cn:s3:::${MODEL_BUCKET}
APIGW:
  stageName: dev
  throttle:
    rateLimit: 30
    burstLimit: 50
modelsRuntime:
- name: sdruntime
  namespace: "default"
  modelFilename: "v1-5-pruned-emaonly.safetensors"
  dynamicModel: false
  chartRepository: "http://example.com/"
  chartVersion: "1.0.0"
  type: sdwebui
  extraValues:
    runtime:
      inferenceApi: {}
"""


@pytest.fixture
def a_file(tmp_path: Path) -> Path:
    return tmp_path / "config.yaml"


def loaded(file: Path, text: str) -> Config:
    file.write_text(text)
    return load(file)


def errors_of(file: Path, text: str) -> list[str]:
    """The lines of the error, without the path that each begins with."""
    with pytest.raises(ConfigError) as caught:
        loaded(file, text)
    lines = str(caught.value).split("\n")
    assert all(line.startswith(f"{file}:") for line in lines)
    return [line.removeprefix(f"{file}:") for line in lines]


def error_of(file: Path, text: str) -> str:
    (line,) = errors_of(file, text)
    return line


def test_the_shipped_file_holds_the_defaults() -> None:
    assert load(SHIPPED) == Config()


def test_the_defaults_are_the_documented_ones() -> None:
    config = Config()
    assert config.stack_name == "sdfleet"
    assert config.api_gateway.stage_name == "prod"
    assert (config.api_gateway.throttle.rate_limit, config.api_gateway.throttle.burst_limit) == (30, 50)
    assert config.runtimes == (
        RuntimeConfig(name="sdruntime", type=RuntimeType.SDWEBUI, model_filename="v1-5-pruned-emaonly.safetensors"),
    )
    assert config.link_lifetime == timedelta(hours=1)


def test_a_file_says_only_what_differs(a_file: Path) -> None:
    config = loaded(a_file, "stackName: my-fleet\n")
    assert config == Config(stack_name="my-fleet")


def test_every_key_is_read(a_file: Path) -> None:
    config = loaded(
        a_file,
        """\
stackName: studio
modelBucketArn: arn:aws:s3:::my-models
APIGW: {stageName: dev, throttle: {rateLimit: 2.5, burstLimit: 7}}
modelsRuntime:
  - {name: comfy, type: comfyui, taskTimeoutS: 1200, maxAttempts: 5}
  - {name: webui, type: sdwebui, modelFilename: a.safetensors, dynamicModel: true}
inputs: {allowedHosts: ["pictures.internal", "10.0.0.7:8080"], allowedBuckets: [shared-inputs], maxSizeMiB: 8}
waitingCap: 3
linkLifetimeS: 600
""",
    )
    assert config.model_bucket == "my-models"
    assert config.api_gateway.throttle.rate_limit == 2.5
    assert [runtime.type for runtime in config.runtimes] == [RuntimeType.COMFYUI, RuntimeType.SDWEBUI]
    assert config.runtimes[0].task_timeout == timedelta(minutes=20)
    assert config.inputs.allowed_hosts == ("pictures.internal", "10.0.0.7:8080")
    assert config.inputs.max_size_bytes == 8 * 1024 * 1024
    assert (config.waiting_cap, config.link_lifetime_s) == (3, 600)


def test_every_problem_is_reported_at_once_each_on_its_line(a_file: Path) -> None:
    text = "stackName: 1x\nAPIGW:\n  throttle:\n    burstLimit: 0\nmodelsRuntime:\n- name: A\n  type: comfyui\n"
    assert errors_of(a_file, text) == [
        "1: stackName is 1x; it must be 1 to 32 letters, digits and hyphens, a letter first.",
        "4: APIGW.throttle.burstLimit is 0; it must be at least 1.",
        "6: modelsRuntime[0].name is A; it must be 1 to 31 lower-case letters, digits and hyphens, a letter first.",
    ]


@pytest.mark.parametrize(
    ("key", "nearest"),
    [("stackname", "stackName"), ("modelRuntime", "modelsRuntime"), ("apigw", "APIGW"), ("waitingcaps", "waitingCap")],
)
def test_an_unknown_key_names_the_nearest_one(a_file: Path, key: str, nearest: str) -> None:
    assert error_of(a_file, f"# comment\n{key}: x\n") == f"2: {key} is no known key; did you mean {nearest}?"


def test_an_unknown_key_like_no_other_names_all_there_are(a_file: Path) -> None:
    error = error_of(a_file, "inputs:\n  zzz: 1\n")
    assert error == "2: inputs.zzz is no known key; there are allowedHosts, allowedBuckets, maxSizeMiB."


def test_keys_that_only_kubernetes_understood_are_named_as_such(a_file: Path) -> None:
    errors = errors_of(a_file, OF_THE_EKS_GUIDANCE)
    assert errors[0].startswith("2: modelBucketArn is ")
    assert [error.partition(" is a key of the EKS guidance only: ")[0] for error in errors[1:]] == [
        "10: modelsRuntime[0].namespace",
        "13: modelsRuntime[0].chartRepository",
        "14: modelsRuntime[0].chartVersion",
        "16: modelsRuntime[0].extraValues",
    ]
    assert all("remove it" in error for error in errors[1:])


@pytest.mark.parametrize(
    ("first", "second", "field"),
    [
        ("name: same, type: custom", "name: same, type: comfyui", "name"),
        ("name: a-b, type: custom", "name: a--b, type: custom", "name"),
        (
            "name: a, type: custom, modelFilename: m.ckpt",
            "name: b, type: custom, modelFilename: m.ckpt",
            "modelFilename",
        ),
        ("name: a, type: custom, modelFilename: m.ckpt", "name: b, type: custom, modelFilename: m.pt", "modelFilename"),
    ],
)
def test_runtimes_differ_in_name_and_model(a_file: Path, first: str, second: str, field: str) -> None:
    error = error_of(a_file, f"modelsRuntime:\n- {{{first}}}\n- {{{second}}}\n")
    assert error.startswith(f"3: modelsRuntime[1].{field} is ")
    assert "modelsRuntime[0]" in error


def test_runtimes_made_in_code_keep_the_same_rules() -> None:
    twice = RuntimeConfig(name="a", type=RuntimeType.CUSTOM)
    with pytest.raises(ValidationError, match="different names"):
        Config(runtimes=(twice, twice))


def test_a_static_webui_names_its_model(a_file: Path) -> None:
    error = error_of(a_file, "modelsRuntime:\n- name: a\n  type: sdwebui\n")
    assert error.startswith("2: modelsRuntime[0].modelFilename is missing")
    assert "dynamicModel: true" in error


def test_a_dynamic_webui_needs_no_model(a_file: Path) -> None:
    config = loaded(a_file, "modelsRuntime:\n- {name: a, type: sdwebui, dynamicModel: true}\n")
    assert config.runtimes[0].model_filename is None


def test_a_list_without_runtimes_is_refused(a_file: Path) -> None:
    assert error_of(a_file, "modelsRuntime: []\n").startswith("1: modelsRuntime is an empty list")


def test_a_missing_name_is_reported_where_its_entry_begins(a_file: Path) -> None:
    assert error_of(a_file, "modelsRuntime:\n\n- type: custom\n").startswith("3: modelsRuntime[0].name is missing")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("stackName: no", "1: stackName is false; it must be text; quote it if it looks like something else."),
        ("waitingCap: true", "1: waitingCap is true; it must be a whole number."),
        ("waitingCap: '3'", "1: waitingCap is '3'; it must be a whole number."),
        ("waitingCap:", "1: waitingCap is empty; it must be a whole number."),
        ("APIGW: []", "1: APIGW is []; it must be a mapping of keys to values."),
        ("APIGW: {throttle: {rateLimit: .nan}}", "1: APIGW.throttle.rateLimit is .nan; it must be a finite number."),
        ("APIGW: {throttle: {rateLimit: 0}}", "1: APIGW.throttle.rateLimit is 0; it must be more than 0."),
        ("modelsRuntime: sdwebui", "1: modelsRuntime is sdwebui; it must be a list."),
        (
            "modelsRuntime: [{name: a, type: invoke}]",
            "1: modelsRuntime[0].type is invoke; it must be 'sdwebui', 'comfyui', 'custom' or 'test_pattern'.",
        ),
        (
            "modelsRuntime: [{name: a, type: custom, fleet: {instanceTypes: []}}]",
            "1: modelsRuntime[0].fleet.instanceTypes is []; it must be a list of at least 1.",
        ),
        # Not a list that is too short as well.
        (
            "modelsRuntime: [{name: a, type: custom, fleet: {instanceTypes: [g5xlarge]}}]",
            "1: modelsRuntime[0].fleet.instanceTypes[0] is g5xlarge; it must be an instance type such as g5.xlarge.",
        ),
        (
            "inputs: {allowedBuckets: ['s3://a']}",
            "1: inputs.allowedBuckets[0] is s3://a; it must be a bucket's name, without s3://.",
        ),
    ],
)
def test_a_value_of_the_wrong_kind_says_what_it_must_be(a_file: Path, text: str, error: str) -> None:
    assert error_of(a_file, text) == error


@pytest.mark.parametrize("host", ["http://a", "a/b", "a:b", "", "::1"])
def test_an_allowed_host_is_a_host_and_no_link(a_file: Path, host: str) -> None:
    assert "must be a host or host:port" in error_of(a_file, f"inputs: {{allowedHosts: ['{host}']}}")


@pytest.mark.parametrize("name", ["../x.safetensors", "/models/x.safetensors", "", " "])
def test_a_model_is_a_file_name(a_file: Path, name: str) -> None:
    error = error_of(a_file, f"modelsRuntime: [{{name: a, type: custom, modelFilename: '{name}'}}]")
    assert "modelFilename" in error


def test_a_key_that_stands_twice_is_an_error(a_file: Path) -> None:
    assert error_of(a_file, "waitingCap: 3\nwaitingCap: 4\n") == (
        "2: waitingCap stands twice, on line 1 already; remove one."
    )


def test_a_key_that_yaml_takes_for_something_else_is_an_error(a_file: Path) -> None:
    assert error_of(a_file, "on: 3\n") == "1: on is a key that is no text; quote it."


def test_anchors_and_merges_are_understood(a_file: Path) -> None:
    text = "modelsRuntime:\n- &a {name: a, type: custom, maxAttempts: 4}\n- {<<: *a, name: b}\n"
    assert [runtime.max_attempts for runtime in loaded(a_file, text).runtimes] == [4, 4]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "1: the file is empty"),
        ("# only a comment\n", "1: the file is empty"),
        ("- a\n", "1: the file must hold keys and values"),
        ("stackName: a\nwaitingCap: a: b\n", "2: this is no valid YAML: mapping values are not allowed here"),
        ("a: !!python/object:os.system x\n", "1: this is no valid YAML"),
        ("stackName: a\n---\nstackName: b\n", "2: this is no valid YAML: expected a single document"),
    ],
)
def test_a_file_that_is_no_mapping_is_a_clear_error(a_file: Path, text: str, error: str) -> None:
    assert error_of(a_file, text).startswith(error)


def test_a_recursive_file_is_an_error_and_no_endless_loop(a_file: Path) -> None:
    assert errors_of(a_file, "modelsRuntime: &a\n- *a\n")


def test_a_missing_file_is_named(a_file: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        load(a_file)


def test_a_folder_is_no_config(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path)


def test_a_file_in_another_encoding_is_named_as_such(a_file: Path) -> None:
    a_file.write_bytes(b"stackName: \xff\xfe\n")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(a_file)


def test_a_byte_order_mark_does_no_harm(a_file: Path) -> None:
    assert loaded(a_file, "\ufeffwaitingCap: 3\n").waiting_cap == 3
