from __future__ import annotations

import pytest
from click.testing import CliRunner

from sdfleet_cli.main import main

URL = "http://127.0.0.1:8188"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["deploy", "--instances", "2"], "--instances needs --local"),
        (["deploy", "--runtime-url", URL], "--runtime-url needs --local"),
        (["deploy", "prod", "--local"], "DEPLOYMENT_ID does not go with --local"),
        (["deploy", "--local", "-b", "models"], "--bucket does not go with --local"),
        (["deploy", "--redo", "everything"], "'everything' is not one of"),
        (["deploy", "-t", "invokeai"], "'invokeai' is not one of"),
        (["destroy", "prod", "--local"], "--local goes with neither"),
        (["deploy", "--local", "--runtime-url", URL], "--runtime-url needs --runtime-type"),
        (["deploy", "--local", "--runtime-url", URL, "--runtime-type", "test_pattern"], "needs --runtime-type"),
        (["deploy", "--local", "--runtime-type", "comfyui"], "--runtime-type comfyui needs --runtime-url"),
        (["deploy", "--local", "--runtime-name", "Upper"], "--runtime-name must be"),
        (["deploy", "--local", "--aws-latency-ms", "sqs=fast"], "'sqs=fast' is no latency"),
        (["deploy", "--local", "--instances", "-1"], "not in the range"),
        (["deploy", "--local", "--port", "70000"], "not in the range"),
        (["deploy", "--local", "--config", "/no/such/file"], "does not exist"),
        (["deploy", "--local", "--nonsense"], "No such option"),
    ],
)
def test_what_does_not_go_together_is_a_usage_error(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert message in result.output


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_names_every_option(option: str) -> None:
    text = CliRunner().invoke(main, ["deploy", option]).output
    options = ("--local", "--instances", "--runtime-type", "--runtime-url", "--runtime-name", "--config", "--port")
    assert all(name in text for name in (*options, "--aws-latency-ms", "--dry-run"))


def test_the_seeds_flags_are_all_there() -> None:
    text = CliRunner().invoke(main, ["deploy", "-h"]).output
    flags = ("-h, --help", "-n, --stack-name", "-R, --region", "-d, --dry-run", "-b, --bucket", "-s, --snapshot")
    assert all(flag in text for flag in (*flags, "-r, --runtime-name", "-t, --runtime-type"))
