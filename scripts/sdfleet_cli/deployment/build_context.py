"""The context of an image build as an archive: what `.dockerignore` lets through, and nothing else of a checkout."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

_IGNORE_FILE = ".dockerignore"
#: The same content is the same archive, whenever its files were written (zip counts from 1980).
_EPOCH = (1980, 1, 1, 0, 0, 0)


def pack(root: Path) -> bytes:
    """A zip archive of the context of `root`, equal for equal files."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for file in sorted(_files(root)):
            entry = zipfile.ZipInfo(file.relative_to(root).as_posix(), _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            # Scripts are run by the builds.
            entry.external_attr = (file.stat().st_mode & 0o777) << 16
            packed.writestr(entry, file.read_bytes())
    return archive.getvalue()


def _files(root: Path) -> Iterator[Path]:
    ignore = root / _IGNORE_FILE
    yield ignore
    allowed = [line[1:] for line in ignore.read_text(encoding="utf-8").splitlines() if line.startswith("!")]
    for name in allowed:
        place = root / name
        yield from (
            file
            for file in ([place] if place.is_file() else place.rglob("*"))
            if file.is_file() and "__pycache__" not in file.parts
        )
