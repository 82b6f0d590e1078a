"""The models of a WebUI: which one a name means, and which one made a picture."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

_WITH_HASH = re.compile(r"(.*?)\s*\[([0-9a-fA-F]{6,64})\]")
_HASH = re.compile(r"[0-9a-fA-F]{8,64}")


@dataclass(frozen=True)
class Checkpoint:
    #: Path below the model directory: the one name that stays the same when the server learns the file's hash.
    file: str
    names: tuple[str, ...]
    #: SHA-256 or its beginning; None until the server has computed it.
    digest: str | None
    #: What the answer's `sd_model_name` says of it.
    reported_names: tuple[str, ...]


def checkpoint_of(entry: dict[str, Any]) -> Checkpoint:
    """From an entry of /sdapi/v1/sd-models."""
    title = str(entry.get("title") or entry.get("model_name") or "")
    match = _WITH_HASH.fullmatch(title)
    file = match[1] if match else title
    path = PurePath(str(entry.get("filename") or file))
    model_name = str(entry.get("model_name") or path.stem)
    digest = entry.get("sha256") or entry.get("hash") or (match[2] if match else None)
    return Checkpoint(
        file=file,
        names=(file, path.name, path.stem, model_name),
        digest=str(digest).lower() if digest else None,
        reported_names=(path.stem, model_name),
    )


def matching(wanted: str, entries: Iterable[dict[str, Any]]) -> list[Checkpoint]:
    """Those that `wanted` names, whole: the server itself would take any part of a title.

    The path counts before other names, and the same case before another.
    """
    wanted = wanted.strip()
    known = [checkpoint_of(entry) for entry in entries]
    if _HASH.fullmatch(wanted):
        by_hash = [one for one in known if one.digest and _is_same(one.digest, wanted.lower())]
        if by_hash:
            return by_hash
    match = _WITH_HASH.fullmatch(wanted)
    if match is not None:
        wanted, digest = match[1], match[2].lower()
        # A hash that the server has not computed yet is checked on its answer.
        known = [replace(one, digest=one.digest or digest) for one in known]
        known = [one for one in known if one.digest and _is_same(one.digest, digest)]
    folded = wanted.casefold()
    return (
        [one for one in known if one.file == wanted]
        or [one for one in known if wanted in one.names]
        or [one for one in known if folded in (name.casefold() for name in one.names)]
    )


def without_hash(title: str) -> str:
    """`canny` for `canny [d14c016b]`."""
    match = _WITH_HASH.fullmatch(title.strip())
    return match[1] if match else title.strip()


def ran_instead(checkpoint: Checkpoint, *, name: str | None, digest: str | None) -> str | None:
    """What ran by the answer's word, if it is not `checkpoint`."""
    if checkpoint.digest and digest:
        if _is_same(checkpoint.digest, digest.lower()):
            return None
    elif name and name.casefold() in (each.casefold() for each in checkpoint.reported_names):
        return None
    if name and digest:
        return f"{name} [{digest}]"
    return name or digest or "a model that it does not name"


def _is_same(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)
