"""The configuration's own step, and the model bucket with what its runtimes start with."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sdfleet.aws.model_uploads import ModelUploads, bucket_region, create_private_bucket
from sdfleet.config import Config
from sdfleet.domain import names
from sdfleet.domain.task import RuntimeType
from sdfleet.errors import DeploymentError
from sdfleet_cli.deployment.configuration import Wish, fill_in
from sdfleet_cli.deployment.model_transfer import BASE_MODEL, read_file, read_url, upload
from sdfleet_cli.deployment.session import Session

_REPORT_EVERY_S = 10.0
#: Runtimes that make pictures from the base model.
_STABLE_DIFFUSION = (RuntimeType.SDWEBUI, RuntimeType.COMFYUI)


@dataclass(frozen=True)
class Configuration:
    """What the flags say, in the file."""

    wishes: tuple[Wish, ...]
    name: str = "config"
    title: str = "Configuration"

    def inputs(self, session: Session) -> Mapping[str, object]:
        return {"file": str(session.config_file), "wishes": [(one.path, one.value) for one in self.wishes]}

    def holds(self, session: Session) -> bool:
        # Reading it is the check, and quick.
        return False

    def run(self, session: Session) -> Mapping[str, str]:
        changes = fill_in(session.config_file, self.wishes)
        for change in changes:
            session.note(change)
        config = session.config
        fleets = ", ".join(f"{one.name} ({one.type}, 0..{one.fleet.max_size})" for one in config.runtimes)
        session.note(f"{session.config_file}: {fleets}")
        return {}


class Models:
    name = "models"
    title = "Model bucket and base model"

    def inputs(self, session: Session) -> Mapping[str, object]:
        config = session.config
        return {
            "bucket": config.model_bucket,
            "models": sorted(_model_files(config)),
            "base_model": session.options.base_model_url,
            "wants_base_model": session.options.wants_base_model,
        }

    def holds(self, session: Session) -> bool:
        bucket = session.config.model_bucket
        if bucket is None:
            return False
        uploads = ModelUploads(session.clients.s3, bucket)
        return all(uploads.size_of(key) is not None for key in _keys(session))

    def run(self, session: Session) -> Mapping[str, str]:
        bucket = _bucket(session)
        uploads = ModelUploads(session.clients.s3, bucket)
        if BASE_MODEL.key in _keys(session):
            fetch_base_model(session, uploads)
        absent = [key for key in _keys(session) if uploads.size_of(key) is None]
        if absent:
            raise DeploymentError(
                f"s3://{bucket} lacks {', '.join(absent)}, which the configuration names; put it there with "
                f"scripts/upload-model.sh --bucket {bucket} FILE --folder Stable-diffusion."
            )
        return {"bucket": bucket}


def model_bucket_name(session: Session) -> str:
    """One in each account and region: several deployments share their models, and a redeployment finds them."""
    return f"sdfleet-models-{session.account.account_id}-{session.account.region}"


def _bucket(session: Session) -> str:
    """The configured bucket, else ours, made if it is not there and written into the configuration."""
    account, s3 = session.account, session.clients.s3
    configured = session.config.model_bucket
    bucket = configured or model_bucket_name(session)
    region = bucket_region(s3, bucket)
    if region is None and configured is not None and configured != model_bucket_name(session):
        raise DeploymentError(
            f"There is no bucket {bucket}; create it in {account.region}, or leave -b out for a new one."
        )
    if region not in (None, account.region):
        raise DeploymentError(
            f"The bucket {bucket} is in {region} and the deployment in {account.region}; models must be near: name a "
            f"bucket in {account.region}, or deploy there with -R {region}."
        )
    if region is None:
        create_private_bucket(s3, bucket, partition=account.partition)
        session.note(f"s3://{bucket} was made")
    else:
        session.note(f"s3://{bucket}")
    if configured is None:
        wish = Wish("the model bucket", ("modelBucketArn",), f"arn:{account.partition}:s3:::{bucket}")
        for change in fill_in(session.config_file, [wish]):
            session.note(change)
    return bucket


def _model_files(config: Config) -> set[str]:
    """Names of the checkpoints that runtimes start with."""
    return {one.model_filename for one in config.runtimes if one.model_filename and one.type in _STABLE_DIFFUSION}


def _keys(session: Session) -> list[str]:
    """Of all objects that must be in the model bucket."""
    config = session.config
    files = _model_files(config)
    if session.options.wants_base_model and any(one.type in _STABLE_DIFFUSION for one in config.runtimes):
        files |= {BASE_MODEL.filename}
    return sorted(f"{names.CHECKPOINT_PREFIX}{file}" for file in files)


def fetch_base_model(session: Session, uploads: ModelUploads) -> None:
    size = uploads.size_of(BASE_MODEL.key)
    if size == BASE_MODEL.size_bytes:
        session.note(f"{BASE_MODEL.filename} is there")
        return
    if size is not None:
        # Somebody's own file of that name; whether it is right, only they know.
        session.note(f"{BASE_MODEL.filename} is there, with {size} bytes instead of {BASE_MODEL.size_bytes}; it stays")
        return
    source = session.options.base_model_url or BASE_MODEL.url_for(session.account.partition)
    session.note(f"{BASE_MODEL.filename} ({_gib(BASE_MODEL.size_bytes)}) from {source.split('?', maxsplit=1)[0]}")
    content = read_url(source) if source.startswith(("http://", "https://")) else read_file(Path(source))
    upload(
        content,
        uploads,
        BASE_MODEL.key,
        on_progress=Reporter(BASE_MODEL.size_bytes, session.note),
        sha256=BASE_MODEL.sha256,
    )
    session.note(f"{BASE_MODEL.filename} is in s3://{uploads.bucket}/{names.CHECKPOINT_PREFIX}")


class Reporter:
    """Says every few seconds how far a transfer is."""

    def __init__(self, size_bytes: int, say: Callable[[str], None]) -> None:
        self._size_bytes = max(size_bytes, 1)
        self._say = say
        self._began = self._last = time.monotonic()

    def __call__(self, done: int) -> None:
        now = time.monotonic()
        if now - self._last < _REPORT_EVERY_S and done < self._size_bytes:
            return
        self._last = now
        rate = done / max(now - self._began, 0.001)
        left = max(self._size_bytes - done, 0) / max(rate, 1)
        self._say(f"{100 * done // self._size_bytes:3} %  {_gib(done)}  {rate / 1e6:.0f} MB/s  {left:.0f} s left")


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / 1024**3:.2f} GiB"
