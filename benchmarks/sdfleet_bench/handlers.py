"""The request handlers: how long a cold start imports, how much of it is ours, what an accepted request costs."""

from __future__ import annotations

import io
import json
import os
import statistics
import subprocess
import sys
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import sdfleet
import sdfleet_lambdas
from sdfleet.domain.task import RuntimeType
from sdfleet_bench import workload
from sdfleet_bench.stubs import BenchmarkFailed, stub_aws
from sdfleet_local.child import base_environment

#: What the functions load through which tasks go; callbacks, prices and rollouts have their own.
_ALL = """
import importlib, json, sys
for name in ("api", "submission", "sweeper"):
    importlib.import_module(f"sdfleet_lambdas.{name}")
print(json.dumps({name: getattr(module, "__file__", None) for name, module in sys.modules.items()}))
"""
#: What boto3 brings along: the SDK with a client, and nothing of ours.
_SDK = """
import json, sys
import boto3
for service in ("sqs", "sns", "s3", "dynamodb"):
    boto3.client(service)
print(json.dumps(list(sys.modules)))
"""
_OURS = ("sdfleet", "sdfleet_lambdas")


@dataclass(frozen=True)
class HandlersResult:
    #: Medians, each in fresh interpreters.
    bare_interpreter_ms: float
    boto3_import_ms: float
    handler_import_ms: float
    #: Python files of ours that the handlers load, as they are and in a zip.
    package_kib: float
    package_zip_kib: float
    #: Top-level packages beyond the standard library, boto3 with its own, and ours: none.
    foreign_packages: list[str]
    cpu_ms_per_request: float
    aws_calls_per_request: float


def measure(*, rounds: int, requests: int, aws_latency_ms: Mapping[str, float]) -> HandlersResult:
    bare, boto3, handler = _import_times(rounds)
    modules: dict[str, str | None] = json.loads(_python("-c", _ALL))
    size, zipped = _package(modules)
    with stub_aws(aws_latency_ms) as aws:
        aws.ask("fill", {"items": {}, "messages": {}})
        environment = {
            "AWS_ENDPOINT_URL": aws.url,
            **workload.deployment(aws.url, RuntimeType.TEST_PATTERN).to_env(),
            **workload.handler_environment(),
        }
        cpu_ms = float(_python("-m", "sdfleet_bench.request_cpu", str(requests), environment=environment))
        calls = aws.ask("counts")["calls"]
    if calls.get("unknown"):
        raise BenchmarkFailed(f"The handlers made calls that the stub does not know: {calls}")
    return HandlersResult(
        bare_interpreter_ms=bare,
        boto3_import_ms=boto3,
        handler_import_ms=handler,
        package_kib=size / 1024,
        package_zip_kib=zipped / 1024,
        foreign_packages=_foreign(modules),
        cpu_ms_per_request=cpu_ms,
        aws_calls_per_request=sum(calls.values()) / (requests + workload.WARM_UP),
    )


def _import_times(rounds: int) -> tuple[float, ...]:
    """The three take turns, so that a busy moment of the machine does not meet only one of them."""
    statements = ("pass", "import boto3", "import sdfleet_lambdas.api")
    times: dict[str, list[float]] = {statement: [] for statement in statements}
    # The first round writes bytecode and warms the disk's cache.
    for number in range(rounds + 1):
        for statement in statements:
            began = time.perf_counter()
            _python("-c", statement)
            if number:
                times[statement].append(1000 * (time.perf_counter() - began))
    return tuple(statistics.median(times[statement]) for statement in statements)


def _package(modules: Mapping[str, str | None]) -> tuple[int, int]:
    """Bytes of our files, plain and zipped."""
    roots = [Path(str(package.__file__)).parent for package in (sdfleet, sdfleet_lambdas)]
    buffer = io.BytesIO()
    size = 0
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as package:
        for name, file in modules.items():
            if file and name.partition(".")[0] in _OURS:
                path = Path(file)
                root = next(root for root in roots if path.is_relative_to(root))
                package.write(path, path.relative_to(root.parent))
                size += path.stat().st_size
    return size, buffer.tell()


def _foreign(modules: Mapping[str, str | None]) -> list[str]:
    allowed = {*sys.stdlib_module_names, *_OURS, *_tops(json.loads(_python("-c", _SDK))), "__main__", "__mp_main__"}
    return sorted(_tops(list(modules)) - allowed)


def _tops(modules: list[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


def _python(*arguments: str, environment: Mapping[str, str] | None = None) -> str:
    answer = subprocess.run(
        [sys.executable, *arguments],
        env={**base_environment(), "PYTHONPATH": os.pathsep.join(sys.path), **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        raise BenchmarkFailed(f"A measured process failed: {answer.stderr.strip().splitlines()[-1:]}")
    return answer.stdout.strip().splitlines()[-1] if answer.stdout.strip() else ""
