"""Fetches what a task's content links to, before its turn at the runtime comes."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from datetime import timedelta

from sdfleet.domain.content import Path, format_path, image_fields, links, sniff
from sdfleet.domain.names import UPLOAD_PREFIX, parse_s3_url
from sdfleet.domain.task import JsonObject, TaskType
from sdfleet.environment import DeploymentEnvironment, SchedulerEnvironment
from sdfleet.errors import ObjectNotFound, PayloadTooLarge, ServiceUnavailable
from sdfleet.ports import ArtifactStore
from sdfleet.telemetry import logs
from sdfleet_scheduler.fetch_guard import FetchFailed, FetchGuard
from sdfleet_scheduler.offload import offload
from sdfleet_scheduler.runtimes.base import InputFile, RuntimeFailure

log = logs.get_logger(__name__)

#: Stable code of every failure here.
INPUT_UNAVAILABLE = "input_unavailable"
#: A workflow with more linked files than this is an attack or a slip: a batch of img2img has a dozen.
MAX_LINKS = 64
#: Four downloads fill an instance's network; more only share it.
_AT_ONCE = 4
#: All inputs of a task together may have this many times one input's limit: they are in memory at once.
_TOTAL_FACTOR = 4


@dataclass(frozen=True)
class _Wanted:
    """One URL, and everywhere it stands."""

    url: str
    paths: tuple[Path, ...]

    @property
    def field(self) -> str:
        """The first of its fields, as the sender knows it."""
        return f"content.{format_path(self.paths[0])}"


class Inputs:
    def __init__(
        self,
        *,
        environment: SchedulerEnvironment,
        deployment: DeploymentEnvironment,
        artifacts: ArtifactStore,
        guard: FetchGuard | None = None,
    ) -> None:
        self._max_bytes = environment.max_input_bytes
        self._timeout = timedelta(seconds=environment.input_timeout_s)
        self._deployment = deployment
        self._allowed_buckets = frozenset((deployment.output_bucket, *environment.allowed_buckets))
        self._artifacts = artifacts
        self._guard = guard or FetchGuard(allowed_hosts=environment.allowed_hosts)

    async def fetch(self, content: JsonObject) -> tuple[InputFile, ...]:
        """Every link's bytes, one file for each place that a link stands at.

        Raises:
            RuntimeFailure: permanent and naming the field, unless S3 itself did not answer.
        """
        wanted = _wanted(content)
        if len(wanted) > MAX_LINKS:
            raise _unavailable(f"content: it has {len(wanted)} different links; at most {MAX_LINKS} are fetched.")
        turns = asyncio.Semaphore(_AT_ONCE)
        budget = _Budget(self._max_bytes * _TOTAL_FACTOR)
        downloads = [asyncio.create_task(self._download(item, turns, budget)) for item in wanted]
        try:
            bodies = await asyncio.gather(*downloads)
        finally:
            for download in downloads:
                download.cancel()
            await asyncio.gather(*downloads, return_exceptions=True)
        return _as_files(wanted, bodies, content)

    async def close(self) -> None:
        await self._guard.close()

    async def _download(self, wanted: _Wanted, turns: asyncio.Semaphore, budget: _Budget) -> bytes:
        async with turns:
            body = await (self._from_s3(wanted) if _is_s3(wanted.url) else self._from_web(wanted))
        budget.spend(len(body) * len(wanted.paths))
        log.info("input.fetched", field=wanted.field, size_bytes=len(body))
        return body

    async def _from_web(self, wanted: _Wanted) -> bytes:
        try:
            return await self._guard.get(wanted.url, max_bytes=self._max_bytes, within=self._timeout)
        except FetchFailed as failure:
            raise _unavailable(f"{wanted.field}: the link cannot be fetched: {failure}.") from None

    async def _from_s3(self, wanted: _Wanted) -> bytes:
        url = "s3" + wanted.url[2:]
        try:
            bucket, key = parse_s3_url(url)
        except ValueError:
            raise _unavailable(f"{wanted.field}: it must be an s3://bucket/key URL.") from None
        if not self._may_read(bucket, key):
            raise _unavailable(
                f"{wanted.field}: objects of bucket {bucket} are not taken as inputs; use an upload or an https link, "
                "or have inputs.allowedBuckets of the configuration name the bucket."
            )
        try:
            async with asyncio.timeout(self._timeout.total_seconds()):
                return await offload(self._artifacts.get, url, max_bytes=self._max_bytes)
        except ObjectNotFound:
            raise _unavailable(
                f"{wanted.field}: there is no such object in bucket {bucket}, or no right to read it."
            ) from None
        except PayloadTooLarge:
            raise _unavailable(f"{wanted.field}: the object has more than {self._max_bytes} bytes.") from None
        except (ServiceUnavailable, TimeoutError):
            # Not the sender's fault: S3 comes back.
            raise RuntimeFailure.transient(
                INPUT_UNAVAILABLE, f"{wanted.field}: S3 did not deliver the object; it is tried again."
            ) from None

    def _may_read(self, bucket: str, key: str) -> bool:
        if bucket in self._allowed_buckets:
            return True
        # Beside the uploads lie other senders' contents.
        return bucket == self._deployment.inbox_bucket and key.startswith(UPLOAD_PREFIX) and ".." not in key


class _Budget:
    """Counts what all inputs of a task take."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._spent = 0

    def spend(self, size_bytes: int) -> None:
        self._spent += size_bytes
        if self._spent > self._max_bytes:
            raise _unavailable(f"content: its links have more than {self._max_bytes} bytes together; link less.")


def _wanted(content: JsonObject) -> list[_Wanted]:
    places: dict[str, list[Path]] = {}
    for link in links(content):
        places.setdefault(link.url, []).append(link.path)
    return [_Wanted(url, tuple(paths)) for url, paths in places.items()]


def _as_files(wanted: list[_Wanted], bodies: list[bytes], content: JsonObject) -> tuple[InputFile, ...]:
    """In the order of the content, pictures checked where the field must hold one."""
    pictures = {path for tasktype in TaskType for path, _ in image_fields(tasktype, content)}
    bytes_at = {path: body for item, body in zip(wanted, bodies, strict=True) for path in item.paths}
    files = []
    for number, link in enumerate(links(content), start=1):
        body = bytes_at[link.path]
        extension, media_type = sniff(body) or ("bin", "application/octet-stream")
        if link.path in pictures and not media_type.startswith("image/"):
            raise _unavailable(f"content.{format_path(link.path)}: what the link points at is no picture.")
        name = f"{hashlib.sha256(body).hexdigest()[:16]}-{number}.{extension}"
        files.append(InputFile(path=link.path, name=name, content_type=media_type, data=body))
    return tuple(files)


def _is_s3(url: str) -> bool:
    return url[:2].lower() == "s3"


def _unavailable(message: str) -> RuntimeFailure:
    return RuntimeFailure.permanent(INPUT_UNAVAILABLE, message)
