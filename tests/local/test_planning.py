from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest

from sdfleet.config import Config, RuntimeConfig
from sdfleet.domain.task import RuntimeType
from sdfleet.errors import LocalModeError
from sdfleet_local.plan import LocalPlan, PlannedRuntime
from sdfleet_local.planning import LocalOptions, plan_deployment

URL = "http://127.0.0.1:7860"
TWO_RUNTIMES = Config(
    runtimes=(
        RuntimeConfig(name="sd", type=RuntimeType.SDWEBUI, model_filename="a.safetensors"),
        RuntimeConfig(name="comfy", type=RuntimeType.COMFYUI),
    )
)


def options(**changes: Any) -> LocalOptions:
    return LocalOptions(**{"instances": 1, "port": 8080, **changes})


def on_server(runtime_type: RuntimeType, url: str = URL) -> LocalOptions:
    return options(runtime_type=runtime_type, runtime_url=url)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> dict[str, httpx.Response]:
    """Answers of the user's own server, by path; everything else is a 404."""
    answers: dict[str, httpx.Response] = {}

    def get(url: str, **_: Any) -> httpx.Response:
        return answers.get(httpx.URL(url).path, httpx.Response(404))

    monkeypatch.setattr(httpx, "get", get)
    return answers


def test_every_runtime_of_the_configuration_gets_test_pictures_and_the_user_is_told() -> None:
    planned = plan_deployment(TWO_RUNTIMES, options(instances=2))
    assert [(one.name, one.type, one.model_filename) for one in planned.plan.runtimes] == [
        ("sd", RuntimeType.TEST_PATTERN, "a.safetensors"),
        ("comfy", RuntimeType.TEST_PATTERN, None),
    ]
    assert [note.split(":")[0] for note in planned.notes] == ["sd", "comfy"]
    assert planned.plan.instances == 2


def test_a_webuis_loaded_model_is_the_runtimes(server: dict[str, httpx.Response]) -> None:
    server["/sdapi/v1/options"] = httpx.Response(200, json={"sd_model_checkpoint": "dream.safetensors [6ce0161689]"})
    planned = plan_deployment(Config(), on_server(RuntimeType.SDWEBUI, URL + "/"))
    assert planned.plan.runtimes[0].model_filename == "dream.safetensors"
    assert planned.plan.runtimes[0].url == URL
    assert planned.notes == ()


def test_a_comfyui_has_no_model_of_its_own(server: dict[str, httpx.Response]) -> None:
    server["/system_stats"] = httpx.Response(200, json={"system": {}})
    planned = plan_deployment(Config(), on_server(RuntimeType.COMFYUI))
    assert (planned.plan.runtimes[0].type, planned.plan.runtimes[0].model_filename) == (RuntimeType.COMFYUI, None)


def test_a_server_of_another_type_is_refused(server: dict[str, httpx.Response]) -> None:
    server["/system_stats"] = httpx.Response(200, json={"system": {}})
    with pytest.raises(LocalModeError, match=r"is no sdwebui: GET /sdapi/v1/options gave 404"):
        plan_deployment(Config(), on_server(RuntimeType.SDWEBUI))


@pytest.mark.parametrize("url", ["127.0.0.1:8188", "ftp://127.0.0.1", "http://", "http://127.0.0.1:99999"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(LocalModeError, match="is no http address"):
        plan_deployment(Config(), on_server(RuntimeType.COMFYUI, url))


def test_options_for_one_runtime_are_refused_where_there_are_two() -> None:
    with pytest.raises(LocalModeError, match="the configuration has sd, comfy"):
        plan_deployment(TWO_RUNTIMES, options(runtime_name="mine"))


def test_the_runtime_can_be_renamed() -> None:
    assert plan_deployment(Config(), options(runtime_name="mine")).plan.runtimes[0].name == "mine"


def test_a_plan_survives_the_way_to_its_supervisor() -> None:
    plan = plan_deployment(TWO_RUNTIMES, options()).plan
    assert LocalPlan.from_json(plan.to_json()) == plan


@pytest.mark.parametrize(
    ("runtime_type", "bucket", "reads"),
    [
        (RuntimeType.SDWEBUI, "models", True),
        (RuntimeType.COMFYUI, "models", True),
        (RuntimeType.COMFYUI, None, False),
        (RuntimeType.TEST_PATTERN, "models", False),
        (RuntimeType.CUSTOM, "models", False),
    ],
)
def test_models_are_fetched_for_servers_that_read_them(
    runtime_type: RuntimeType, bucket: str | None, reads: bool
) -> None:
    plan = replace(plan_deployment(TWO_RUNTIMES, options()).plan, model_bucket=bucket)
    assert plan.reads_models(PlannedRuntime("one", runtime_type)) is reads
