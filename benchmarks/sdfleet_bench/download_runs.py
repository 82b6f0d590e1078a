"""`python -m sdfleet_bench.download_runs S3_URL DIRECTORY ROUNDS S5CMD`: prints what each download of a model took.

The scheduler's own downloader, one plain stream through the same client, and s5cmd (`-`: it is not here), by turns, in
a process whose environment has the stub's credentials. The model is the bucket's only object.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import uvloop

from sdfleet.aws.clients import Clients
from sdfleet.aws.model_bucket import S3ModelBucket
from sdfleet.ports import ModelObject
from sdfleet_bench.download_ways import BUCKET, WITHOUT_S5CMD, Way
from sdfleet_local.plan import REGION
from sdfleet_scheduler.model_download import Downloads


class _Bench:
    def __init__(self, s3_url: str, directory: Path, s5cmd: str) -> None:
        self._s3_url = s3_url
        self._directory = directory
        self._s5cmd = s5cmd
        self._bucket = S3ModelBucket(Clients(region=REGION, endpoint_url=s3_url).s3, BUCKET)
        (self._model,) = self._bucket.objects()

    def ways(self) -> dict[Way, Callable[[Path], float]]:
        ways: dict[Way, Callable[[Path], float]] = {Way.SINGLE: self._single, Way.SCHEDULER: self._scheduler}
        if self._s5cmd != WITHOUT_S5CMD:
            ways[Way.S5CMD] = self._with_s5cmd
        return ways

    def run(self, way: Way) -> tuple[float, str]:
        """Seconds, and the file's SHA-256."""
        target = self._directory / f"{way}.safetensors"
        seconds = self.ways()[way](target)
        with target.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        target.unlink()
        return seconds, digest

    def _single(self, target: Path) -> float:
        model: ModelObject = self._model
        began = time.monotonic()
        with target.open("wb") as file:
            for chunk in self._bucket.read(model, offset=0, size_bytes=model.size_bytes):
                file.write(chunk)
        return time.monotonic() - began

    def _scheduler(self, target: Path) -> float:
        async def fetch() -> float:
            downloads = Downloads(self._bucket, self._directory / ".incoming")
            began = time.monotonic()
            await downloads.fetch(self._model, target)
            # As with the others: the file is there and can be read, the kernel writes it to the disk meanwhile.
            seconds = time.monotonic() - began
            await downloads.close()
            return seconds

        return uvloop.run(fetch())

    def _with_s5cmd(self, target: Path) -> float:
        source = f"s3://{BUCKET}/{self._model.key}"
        words = [self._s5cmd, "--endpoint-url", self._s3_url, "cp", source, str(target)]
        began = time.monotonic()
        subprocess.run(words, stdout=subprocess.DEVNULL, check=True)
        return time.monotonic() - began


def main(s3_url: str, directory: str, rounds: str, s5cmd: str) -> None:
    bench = _Bench(s3_url, Path(directory), s5cmd)
    runs = [(way, *bench.run(way)) for _ in range(int(rounds)) for way in bench.ways()]
    sys.stdout.write(json.dumps(runs))


if __name__ == "__main__":
    main(*sys.argv[1:])
