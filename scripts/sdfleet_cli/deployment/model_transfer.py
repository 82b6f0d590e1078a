"""Moves model files into the model bucket, part by part, from a file or from a web address."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from sdfleet.aws.model_uploads import PART_BYTES, ModelUploads
from sdfleet.config.model import DEFAULT_MODEL
from sdfleet.domain import names
from sdfleet.errors import DeploymentError

#: A dropped connection is taken up again where it broke; so many times without a byte, and the source is at fault.
_FRUITLESS_TRIES = 5
_RETRY_PAUSE_S = 2.0
_CHUNK_BYTES = 1024 * 1024

#: Called with the bytes done so far.
Progress = Callable[[int], None]


@dataclass(frozen=True)
class KnownModel:
    filename: str
    size_bytes: int
    sha256: str
    #: The same file, by the region's partition: Hugging Face cannot be reached from China (seed 000).
    urls: dict[str, str]

    @property
    def key(self) -> str:
        return f"{names.CHECKPOINT_PREFIX}{self.filename}"

    def url_for(self, partition: str) -> str:
        return self.urls.get(partition, self.urls["aws"])


_PATH = "stable-diffusion-v1-5/stable-diffusion-v1-5/resolve/main/v1-5-pruned-emaonly.safetensors"
#: Stable Diffusion 1.5. Size and SHA-256 as Hugging Face shows them for this file (its LFS pointer); the WebUI knows it
#: by the first ten digits, [6ce0161689].
BASE_MODEL = KnownModel(
    filename=DEFAULT_MODEL,
    size_bytes=4_265_146_304,
    sha256="6ce0161689b3853acaa03779ec93eafe75a02f4ced659bee03f50797806fa2fa",
    urls={"aws": f"https://huggingface.co/{_PATH}", "aws-cn": f"https://hf-mirror.com/{_PATH}"},
)


def upload(
    content: Iterator[bytes], uploads: ModelUploads, key: str, *, on_progress: Progress, sha256: str | None = None
) -> None:
    """Send `content` to `key`. Parts that the bucket has from a broken-off upload are compared, not sent again.

    Raises:
        DeploymentError: the content does not have this SHA-256 (then there is no object), or the bucket refuses.
    """
    whole = hashlib.sha256()
    begun, number, done = uploads.resume_or_begin(key), 0, 0
    for part in _in_parts(content):
        number += 1
        whole.update(part)
        uploads.put_part(begun, number, part)
        done += len(part)
        on_progress(done)
    if sha256 is not None and whole.hexdigest() != sha256:
        uploads.abort(begun)
        raise DeploymentError(
            f"What was read for {key} is not the file it should be (SHA-256 {whole.hexdigest()}, expected {sha256}); "
            "name another source."
        )
    if number == 0:
        uploads.abort(begun)
        uploads.put_empty(key)
        return
    uploads.complete(begun, part_count=number)


def read_file(path: Path) -> Iterator[bytes]:
    """Raises:
    DeploymentError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk
    except OSError as error:
        raise DeploymentError(f"{path} cannot be read ({error.strerror}).") from error


def read_url(url: str, *, pause: Callable[[float], None] = time.sleep) -> Iterator[bytes]:
    """The bytes behind an http(s) address, going on where a connection breaks.

    Raises:
        DeploymentError: it refuses, or gives nothing however often it is asked.
    """
    done, fruitless = 0, 0
    while True:
        headers = {"Range": f"bytes={done}-"} if done else {}
        before = done
        try:
            with httpx.stream("GET", url, headers=headers, follow_redirects=True, timeout=60.0) as answer:
                if done and answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                    return
                _check(url, answer, is_resumed=bool(done))
                for chunk in answer.iter_raw():
                    done += len(chunk)
                    yield chunk
            return
        except httpx.TransportError as error:
            fruitless = 0 if done > before else fruitless + 1
            if fruitless >= _FRUITLESS_TRIES:
                raise DeploymentError(
                    f"{_shown(url)} cannot be read ({type(error).__name__}); check the network, or name another source "
                    "with --base-model."
                ) from error
            pause(_RETRY_PAUSE_S)


def _check(url: str, answer: httpx.Response, *, is_resumed: bool) -> None:
    if is_resumed and answer.status_code == httpx.codes.OK:
        raise DeploymentError(
            f"{_shown(url)} broke off and cannot be taken up again; run it again, or name another source."
        )
    if not answer.is_success:
        raise DeploymentError(
            f"{_shown(url)} answers {answer.status_code}; name another source with --base-model, or upload the file "
            "with scripts/upload-model.sh."
        )


def _shown(url: str) -> str:
    """Without a query: it may hold a token."""
    return url.split("?", maxsplit=1)[0]


def _in_parts(content: Iterator[bytes]) -> Iterator[bytes]:
    part = bytearray()
    for chunk in content:
        part += chunk
        while len(part) >= PART_BYTES:
            yield bytes(part[:PART_BYTES])
            del part[:PART_BYTES]
    if part:
        yield bytes(part)
