"""What a model directory holds beside models: downloads in progress, and the word that a server may start."""

from __future__ import annotations

import os
from pathlib import Path

from sdfleet.memory.model_bucket import MemoryModelBucket
from sdfleet_scheduler.model_store import INCOMING, SYNCED, ModelStore


async def started(directory: Path) -> ModelStore:
    store = ModelStore(MemoryModelBucket(), directory, max_bytes=1000)
    await store.start()
    return store


async def test_a_server_that_waits_for_its_files_is_told_when_they_are_here(tmp_path: Path) -> None:
    store = await started(tmp_path)
    await store.mark_synced()
    assert (tmp_path / SYNCED).exists()
    await started(tmp_path)
    assert not (tmp_path / SYNCED).exists()


async def test_what_another_scheduler_of_this_machine_is_downloading_is_left_to_it(tmp_path: Path) -> None:
    (tmp_path / INCOMING).mkdir()
    (tmp_path / INCOMING / f"{os.getppid()}-0123.part").write_bytes(b"half")
    (tmp_path / INCOMING / f"{os.getpid()}-0123.part").write_bytes(b"half")
    await started(tmp_path)
    assert {path.name for path in (tmp_path / INCOMING).iterdir()} == {f"{os.getppid()}-0123.part"}
