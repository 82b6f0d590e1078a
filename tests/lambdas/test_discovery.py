from __future__ import annotations

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

from sdfleet_lambdas.api import ROUTES
from sdfleet_lambdas.openapi import document
from service_harness import Answer, Harness, a_request


@pytest.fixture
def harness() -> Harness:
    return Harness()


def test_the_description_is_valid_openapi() -> None:
    validate(document(server="/prod"))


def test_every_route_is_described_and_every_description_is_a_route() -> None:
    described = {
        (path, method.upper())
        for path, item in document(server="/")["paths"].items()
        for method in item
        if method != "parameters"
    }
    assert described == {(route.path, method) for route in ROUTES for method in route.methods}


def test_the_description_names_the_server_it_was_asked_at(harness: Harness) -> None:
    assert harness.call("GET", "/openapi.json").body["servers"] == [{"url": "/prod"}]


def test_only_the_two_open_paths_need_no_key() -> None:
    paths = document(server="/")["paths"]
    assert [path for path, item in paths.items() if item.get("get", {}).get("security") == []] == [
        "/openapi.json",
        "/health",
    ]


def test_health_asks_nobody(harness: Harness) -> None:
    harness.rewire(tasks=None, artifacts=None, requests=None, results=None)
    assert harness.call("GET", "/health/").body == {"status": "ok"}


def test_the_runtimes_are_listed_with_what_they_serve(harness: Harness) -> None:
    runtimes = harness.call("GET", "/v1alpha2/runtimes").body["runtimes"]
    assert [runtime["name"] for runtime in runtimes] == ["sdruntime", "sddynamic", "comfy", "custom", "pattern"]
    assert runtimes[2]["tasktypes"] == ["pipeline"]
    assert "queue_url" not in runtimes[0]


def examples(harness: Harness) -> dict[tuple[str, str, int], Answer]:
    task = {"api": "/sdapi/v1/txt2img", "payload": {"prompt": "x"}}
    scripts = {"task": "text-to-image", "sd_model_checkpoint": "v1-5-pruned-emaonly.safetensors"}
    return {
        ("/v1alpha2", "post", 200): harness.post(a_request()),
        ("/v1alpha2", "post", 202): harness.post(a_request(), prefer="wait=1"),
        ("/v1alpha2", "post", 400): harness.post({}),
        ("/v1alpha2", "post", 409): harness.post(a_request({"prompt": "other"})),
        ("/v1alpha2", "post", 415): harness.post(a_request(), **{"content-type": "text/plain"}),
        ("/v1alpha1", "post", 200): harness.post({"alwayson_scripts": scripts}, "/v1alpha1"),
        ("/v1alpha2/tasks/{id}", "get", 200): harness.call("GET", "/v1alpha2/tasks/test-t2i"),
        ("/v1alpha2/tasks/{id}", "get", 404): harness.call("GET", "/v1alpha2/tasks/none"),
        ("/v1alpha2/tasks/{id}", "delete", 202): harness.call("DELETE", "/v1alpha2/tasks/test-t2i"),
        ("/v1alpha2/tasks/{id}", "delete", 409): harness.call("DELETE", "/v1alpha2/tasks/test-t2i"),
        ("/v1alpha2/uploads", "post", 200): harness.post(
            {"content_type": "image/png", "size_bytes": 1}, "/v1alpha2/uploads"
        ),
        ("/v1alpha2/runtimes", "get", 200): harness.call("GET", "/v1alpha2/runtimes"),
        ("/task", "post", 200): harness.post(task, "/task"),
        ("/task", "get", 200): harness.call("GET", "/task", queryStringParameters={"taskId": "test-t2i"}),
        ("/health", "get", 200): harness.call("GET", "/health"),
    }


def test_answers_are_as_described(harness: Harness) -> None:
    described = document(server="/")
    for (path, method, status), answer in examples(harness).items():
        assert answer.status == status, (path, method, answer.body)
        response = described["paths"][path][method]["responses"][str(status)]
        if "$ref" in response:
            response = described["components"]["responses"][response["$ref"].rsplit("/", 1)[-1]]
        schema = response["content"][answer.headers["Content-Type"]]["schema"]
        # The references point into the whole document.
        validator = OAS31Validator({**schema, "components": described["components"]})
        assert list(validator.iter_errors(answer.body)) == [], (path, method, status)
