"""Downloading one model: the scheduler's downloader beside a plain stream and s5cmd.

From the embedded endpoint and from a stub that sends as fast as this machine does; with a limit for each connection, as
S3 has one, and without.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sdfleet.aws.clients import Clients
from sdfleet_bench.download_ways import BUCKET, KEY, WITHOUT_S5CMD, Way
from sdfleet_bench.stub_model_bucket import content
from sdfleet_bench.stub_throttle import MIB
from sdfleet_bench.stubs import BenchmarkFailed, Stub, embedded_endpoint, stub_model_bucket, stub_throttle
from sdfleet_local.child import base_environment
from sdfleet_local.plan import REGION


@dataclass(frozen=True)
class DownloadsCase:
    size_mib: int
    rounds: int
    #: What one connection gives, where there is a limit.
    limit_mib_s: float
    #: Where files go; None: where temporary files go.
    directory: Path | None = None


@dataclass(frozen=True)
class DownloadsResult:
    """Medians of one endpoint, with a limit or without."""

    endpoint: str
    #: None: none.
    connection_limit_mib_s: float | None
    size_mib: int
    rounds: int
    single_mib_s: float
    scheduler_mib_s: float
    #: None: it is not on the PATH.
    s5cmd_mib_s: float | None
    times_single: float
    times_s5cmd: float | None
    #: Whether every file had the object's very bytes.
    is_exact: bool


def measure(case: DownloadsCase) -> list[DownloadsResult]:
    """Raises:
    BenchmarkFailed: a download failed.
    """
    results = []
    size_bytes = case.size_mib * MIB
    with embedded_endpoint() as embedded, stub_model_bucket({KEY: size_bytes}) as loopback:
        _upload(embedded.url, size_bytes)
        for name, endpoint in (("embedded", embedded), ("loopback", loopback)):
            with stub_throttle(endpoint.port, case.limit_mib_s) as throttled:
                results.append(_measured(case, name, throttled, case.limit_mib_s))
            results.append(_measured(case, name, endpoint, None))
    return results


def _upload(url: str, size_bytes: int) -> None:
    s3 = Clients(region=REGION, endpoint_url=url, has_credentials=False).s3
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key=KEY, Body=content(0, size_bytes))


def _measured(case: DownloadsCase, name: str, endpoint: Stub, limit_mib_s: float | None) -> DownloadsResult:
    seconds, is_exact = _runs(case, endpoint.url)
    speed = {way: case.size_mib / statistics.median(taken) for way, taken in seconds.items()}
    s5cmd = speed.get(Way.S5CMD)
    return DownloadsResult(
        endpoint=name,
        connection_limit_mib_s=limit_mib_s,
        size_mib=case.size_mib,
        rounds=case.rounds,
        single_mib_s=speed[Way.SINGLE],
        scheduler_mib_s=speed[Way.SCHEDULER],
        s5cmd_mib_s=s5cmd,
        times_single=speed[Way.SCHEDULER] / speed[Way.SINGLE],
        times_s5cmd=None if s5cmd is None else speed[Way.SCHEDULER] / s5cmd,
        is_exact=is_exact,
    )


def _runs(case: DownloadsCase, url: str) -> tuple[Mapping[Way, list[float]], bool]:
    """Seconds of each way's runs, and whether all files were the same and the object's."""
    with tempfile.TemporaryDirectory(prefix="sdfleet-bench-", dir=case.directory) as directory:
        arguments = (url, directory, str(case.rounds), shutil.which("s5cmd") or WITHOUT_S5CMD)
        process = subprocess.run(
            [sys.executable, "-m", "sdfleet_bench.download_runs", *arguments],
            env=base_environment(),
            stdout=subprocess.PIPE,
            check=False,
        )
    if process.returncode != 0:
        raise BenchmarkFailed("Not every download came to its end; what went wrong is above.")
    seconds: dict[Way, list[float]] = {}
    digests = {_digest(case.size_mib * MIB)}
    for way, taken, digest in json.loads(process.stdout):
        seconds.setdefault(Way(way), []).append(taken)
        digests.add(digest)
    return seconds, len(digests) == 1


def _digest(size_bytes: int) -> str:
    return hashlib.sha256(content(0, size_bytes)).hexdigest()
