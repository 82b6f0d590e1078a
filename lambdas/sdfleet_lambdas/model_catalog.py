"""Which checkpoints the model bucket holds."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from sdfleet.domain import names
from sdfleet.ports import ArtifactStore, Clock

#: A model that was found is not looked up again for this long (wire contract, Requests).
REMEMBERED_FOR = timedelta(minutes=1)
#: Far above what any bucket holds; the names come from outside.
_MAX_REMEMBERED = 1_000
#: An S3 key holds 1,024 bytes.
_MAX_NAME_BYTES = 512
_HASH = re.compile(r"\s*\[[0-9a-fA-F]{8,64}\]$")
_EXTENSIONS = (".safetensors", ".ckpt")


class ModelCatalog:
    def __init__(self, artifacts: ArtifactStore, clock: Clock, bucket: str | None) -> None:
        self._artifacts = artifacts
        self._clock = clock
        self._bucket = bucket
        self._seen_at: dict[str, datetime] = {}

    @property
    def is_configured(self) -> bool:
        return self._bucket is not None

    def has(self, model: str) -> bool:
        """Whether the bucket holds the checkpoint: by file name, with or without its extension or `[hash]`.

        Only what was found is remembered: a model uploaded after a refusal is there at once.
        """
        now = self._clock.now()
        seen_at = self._seen_at.get(model)
        if seen_at is not None and now - seen_at < REMEMBERED_FOR:
            return True
        if self._bucket is None or not any(
            self._artifacts.exists(names.s3_url(self._bucket, key)) for key in _possible_keys(model)
        ):
            return False
        if len(self._seen_at) >= _MAX_REMEMBERED:
            self._seen_at.clear()
        self._seen_at[model] = now
        return True


def _possible_keys(model: str) -> list[str]:
    name = _HASH.sub("", model.strip())
    is_path = name and not name.startswith("/") and ".." not in name.split("/") and name.isprintable()
    if not is_path or len(name.encode()) > _MAX_NAME_BYTES:
        return []
    files = [name] if name.endswith(_EXTENSIONS) else [f"{name}{extension}" for extension in _EXTENSIONS]
    return [f"{names.CHECKPOINT_PREFIX}{file}" for file in files]
