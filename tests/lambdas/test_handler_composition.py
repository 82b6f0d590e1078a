from __future__ import annotations

import subprocess
import sys

import pytest

from builders import a_deployment
from sdfleet.environment import CallbackEnvironment, HandlerEnvironment
from sdfleet.errors import ConfigError
from sdfleet_lambdas import api, callback_services, composition
from service_harness import an_event

REGION = {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    variables = {**REGION, **a_deployment().to_env(), **HandlerEnvironment(waiting_cap=3).to_env()}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


def test_the_services_are_built_from_the_environment(environ: dict[str, str]) -> None:
    services = composition.build(environ)
    assert services.deployment == a_deployment()
    assert set(services.queues) == {"sdruntime"}
    assert set(services.dead_letter_queues) == {"sdruntime-dead-letters", "test-submissions-dead-letters"}
    assert services.new_id() != services.new_id()


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(ConfigError, match="SDFLEET_DEPLOYMENT"):
        composition.build({})


def test_the_entry_point_answers(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    built = composition.build(environ)
    monkeypatch.setattr(composition, "services", lambda: built)
    assert api.handler(an_event("GET", "/health"), None)["statusCode"] == 200


def test_the_delivery_of_callbacks_needs_no_deployment(environ: dict[str, str]) -> None:
    environment = CallbackEnvironment("test", "http://127.0.0.1:1/callbacks", ("localhost",))
    assert CallbackEnvironment.from_env(environment.to_env()) == environment
    assert callback_services.build_callbacks(environment).named_hosts == {"localhost"}


def test_importing_the_handlers_loads_no_framework() -> None:
    code = (
        "import sys; import sdfleet_lambdas.api, sdfleet_lambdas.submission;"
        "import sdfleet_lambdas.sweeper, sdfleet_lambdas.callbacks, sdfleet_lambdas.spot_prices;"
        "print(sorted({'pydantic', 'fastapi', 'yaml', 'httpx', 'moto'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
