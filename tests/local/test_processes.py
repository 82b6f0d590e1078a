from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from sdfleet_local.processes import ProcessIdentity, identify, stop

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"


@pytest.fixture
def stubborn() -> Iterator[subprocess.Popen[bytes]]:
    """A process that ignores SIGTERM."""
    with subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def _identity(process: subprocess.Popen[bytes]) -> ProcessIdentity:
    identity = identify(process.pid)
    assert identity is not None
    return identity


def test_what_does_not_stop_is_killed(stubborn: subprocess.Popen[bytes]) -> None:
    identity = _identity(stubborn)
    stop([identity], grace=timedelta(seconds=0.2))
    assert not identity.is_alive


def test_a_process_with_the_same_id_but_another_start_is_left_alone(stubborn: subprocess.Popen[bytes]) -> None:
    former = replace(_identity(stubborn), started="long ago")
    assert not former.is_alive
    stop([former], grace=timedelta(seconds=0.2))
    assert stubborn.poll() is None


def test_a_zombie_is_not_alive() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        while identify(process.pid) is not None:
            time.sleep(0.01)
        assert process.returncode is None


def test_this_process_is_itself() -> None:
    assert identify(os.getpid()) == identify(os.getpid())
