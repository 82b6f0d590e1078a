"""A downloaded model is used at once and reaches the disk meanwhile.

Waiting for the disk would hold back the first picture by seconds. Until a file is on the disk it has a second name
among the downloads in progress, made before its own: file systems with a journal (XFS, ext4) keep that order through
a crash, so that a file without a second name is whole.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from sdfleet.telemetry import logs

log = logs.get_logger(__name__)


def put_in_place(temporary: Path, target: Path) -> None:
    """Give `temporary` its own name too; `settle` ends its life as a download."""
    own = temporary.with_suffix(".whole")
    try:
        own.hardlink_to(temporary)
    except OSError:
        # A file system that knows one name a file.
        _sync(temporary)
        temporary.replace(target)
    else:
        own.replace(target)


def settle(temporary: Path, target: Path) -> None:
    """End `temporary`: what has its own name by now goes to the disk first.

    A file that does not get there is taken away again, and fetched when it is needed.
    """
    try:
        if temporary.stat().st_nlink > 1:
            _sync(temporary)
        temporary.unlink()
    except FileNotFoundError:
        # Never made, or it had one name only.
        return
    except OSError as error:
        log.warning("model.not_kept", file=target.name, reason=error.strerror)
        with contextlib.suppress(OSError):
            if target.samefile(temporary):
                target.unlink()
            temporary.unlink()


def clear(incoming: Path) -> frozenset[tuple[int, int]]:
    """Remove what ended processes left among the downloads in progress.

    Returns the identities of files that look whole and may not be: the machine went down before they were on the disk.
    """
    doubtful = set()
    for temporary in incoming.iterdir():
        # Whose download it is may end it meanwhile.
        with contextlib.suppress(FileNotFoundError):
            if not _is_left_behind(temporary):
                continue
            found = temporary.stat()
            if found.st_nlink > 1 and _is_older_than_the_kernel(found):
                doubtful.add(identity(found))
            elif found.st_nlink > 1:
                _sync(temporary)
            temporary.unlink()
    return frozenset(doubtful)


def identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _is_left_behind(temporary: Path) -> bool:
    """Whether nobody is downloading into it any more: on one machine several schedulers may share a directory."""
    pid = temporary.name.partition("-")[0]
    if not pid.isdigit() or int(pid) == os.getpid() or _is_older_than_the_kernel(temporary.stat()):
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _is_older_than_the_kernel(found: os.stat_result) -> bool:
    """Of its last change of name or content; what it says of its content's time is the object's."""
    return found.st_ctime < time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
