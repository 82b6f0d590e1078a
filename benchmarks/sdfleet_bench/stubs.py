"""Starts the processes of a benchmark and ends them."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from sdfleet.errors import SdfleetError
from sdfleet_local.aws_latency import write_latencies
from sdfleet_local.child import base_environment, last_line
from sdfleet_local.loopback import free_port

#: An interpreter and its imports on a machine that is busy otherwise.
START_PATIENCE_S = 60.0
#: A scheduler ends by itself within a second once it has nothing in hand.
STOP_PATIENCE_S = 15.0
#: The longest benchmark asked for so far, a 60 s load, many times over.
WAIT_S = 1800.0


class BenchmarkFailed(SdfleetError):
    """The benchmark measured nothing."""


@dataclass(frozen=True)
class Stub:
    port: int
    pid: int
    _client: httpx.Client = field(repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, action: str, body: Any = None) -> Any:
        """A word with the stub beside its service."""
        return self._client.post(f"{self.url}/_bench/{action}", json=body).raise_for_status().json()


@contextmanager
def stub_aws(latencies_ms: Mapping[str, float]) -> Iterator[Stub]:
    with _stub("sdfleet_bench.stub_aws", "--latency-ms", write_latencies(latencies_ms)) as stub:
        yield stub


@contextmanager
def stub_webui(image_seconds: float) -> Iterator[Stub]:
    with _stub("sdfleet_bench.stub_webui", "--image-seconds", f"{image_seconds:g}") as stub:
        yield stub


@contextmanager
def stub_model_bucket(sizes: Mapping[str, int]) -> Iterator[Stub]:
    """`sizes`: bytes by key."""
    with _stub("sdfleet_bench.stub_model_bucket", *(f"{key}={size}" for key, size in sizes.items())) as stub:
        yield stub


@contextmanager
def stub_model_webui(checkpoints: Path, keep: int) -> Iterator[Stub]:
    """`keep`: how many checkpoints it holds in memory."""
    with _stub("sdfleet_bench.stub_model_webui", "--checkpoints", str(checkpoints), "--keep", str(keep)) as stub:
        yield stub


@contextmanager
def stub_throttle(target_port: int, mib_per_second: float) -> Iterator[Stub]:
    """A port before another: each connection gives so much."""
    limits = ("--target-port", str(target_port), "--mib-per-second", f"{mib_per_second:g}")
    with _stub("sdfleet_bench.stub_throttle", *limits) as stub:
        yield stub


@contextmanager
def embedded_endpoint() -> Iterator[Stub]:
    """What local mode has for AWS."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with (
        service("sdfleet_local.aws_endpoint", {}, "--port", str(port), ready_url=f"{url}/moto-api/data.json") as pid,
        httpx.Client(timeout=WAIT_S, trust_env=False) as client,
    ):
        yield Stub(port, pid, client)


@contextmanager
def handler_environment(environment: Mapping[str, str]) -> Iterator[Stub]:
    with _stub("sdfleet_bench.handler_server", environment=environment) as server:
        yield server


@contextmanager
def _stub(module: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Iterator[Stub]:
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        env={**base_environment(), **(environment or {})},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        if not port:
            raise BenchmarkFailed(f"{module} did not start; its words are above.")
        with httpx.Client(timeout=WAIT_S, trust_env=False) as client:
            yield Stub(int(port), process.pid, client)
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@contextmanager
def service(module: str, environment: Mapping[str, str], *arguments: str, ready_url: str) -> Iterator[int]:
    """The id of a running `python -m module arguments`, once `ready_url` answers 200."""
    with tempfile.TemporaryDirectory(prefix="sdfleet-bench-") as scratch:
        log_file = Path(scratch) / "log"
        with log_file.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                env={**base_environment(), "TMPDIR": scratch, **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            _wait_until_ready(process, ready_url, log_file)
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(STOP_PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log_file: Path) -> None:
    end = time.monotonic() + START_PATIENCE_S
    while time.monotonic() < end:
        if process.poll() is not None:
            raise BenchmarkFailed(f"The process ended at its start: {last_line(log_file)}")
        try:
            if httpx.get(url, timeout=1.0, trust_env=False).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise BenchmarkFailed(f"Nothing was ready at {url} within {START_PATIENCE_S:.0f} s: {last_line(log_file)}")
