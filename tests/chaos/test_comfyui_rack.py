"""Real processes beside the storm's instances; a small server stands in for ComfyUI."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from sdfleet.errors import LocalModeError
from sdfleet_local.chaos.comfyui_rack import ComfyUiRack
from sdfleet_local.chaos.comfyui_workload import ComfyUiWorkload
from sdfleet_local.chaos.schedule import FaultKind
from sdfleet_local.loopback import free_port

#: Answers `/queue` with one task at work for ever.
SERVER = """
import http.server, json, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = json.dumps({"queue_running": [[0, "prompt-1", json.loads(sys.argv[1])]]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_GET = do_POST = answer
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()
"""


class Group:
    def __init__(self) -> None:
        self.members: list[dict[str, Any]] = []

    def launch(self, instance_id: str) -> str:
        url = f"http://127.0.0.1:{free_port()}"
        self.members = [*self.members, {"instance_id": instance_id, "runtime_url": url}]
        return url


def a_rack(directory: Path, words: list[str]) -> ComfyUiRack:
    return ComfyUiRack(shlex.join(words), directory, job_s=0.3, task_ids=["one"], keep_logs=None)


@pytest.fixture
def group() -> Group:
    return Group()


@pytest.fixture
def rack(group: Group, tmp_path: Path) -> Iterator[ComfyUiRack]:
    content = json.dumps(ComfyUiWorkload(seconds=0.3).content(0, "one", padding=0))
    rack = a_rack(tmp_path, [sys.executable, "-c", SERVER, content])
    rack.attend(lambda: group.members)
    yield rack
    rack.close()


def eventually(is_true: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not is_true():
        assert time.monotonic() < end
        time.sleep(0.02)


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/queue", timeout=0.3, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def test_each_instance_has_a_server_as_long_as_it_lives(rack: ComfyUiRack, group: Group) -> None:
    urls = [group.launch("i-1"), group.launch("i-2")]
    eventually(lambda: all(rack.is_up(one) for one in ("i-1", "i-2")))
    group.members = group.members[1:]
    eventually(lambda: not answers(urls[0]))
    assert answers(urls[1])
    rack.close()
    assert not answers(urls[1])


def test_a_killed_server_loses_its_job_and_comes_back(rack: ComfyUiRack, group: Group) -> None:
    url = group.launch("i-1")
    eventually(lambda: rack.is_busy("i-1"))
    assert rack.strike(FaultKind.RUNTIME_DIES, "i-1", lasts_s=0.5, jobs=1)
    assert not answers(url)
    assert (rack.jobs[0].task_id, rack.jobs[0].outcome) == ("one", "runtime-dies")
    assert not rack.strike(FaultKind.RUNTIME_DIES, "i-1", lasts_s=0.5, jobs=1)
    eventually(lambda: answers(url))


def test_a_hung_server_is_helped_by_a_restart_alone(rack: ComfyUiRack, group: Group) -> None:
    url = group.launch("i-1")
    eventually(lambda: rack.is_busy("i-1"))
    rack.strike(FaultKind.RUNTIME_HANGS, "i-1", lasts_s=0, jobs=1)
    time.sleep(0.5)
    assert not answers(url)
    command = rack.planned().restart_command
    assert command is not None
    _, flag = shlex.split(command.replace("{instance_id}", "i-1"))
    Path(flag).touch()
    eventually(lambda: answers(url))
    assert len(rack.hangs_ended_s) == 1


def test_a_slow_server_goes_on_with_its_job(rack: ComfyUiRack, group: Group) -> None:
    url = group.launch("i-1")
    eventually(lambda: rack.is_busy("i-1"))
    rack.strike(FaultKind.RUNTIME_SLOW, "i-1", lasts_s=0.5, jobs=1)
    assert not answers(url)
    eventually(lambda: answers(url))
    assert [job.outcome for job in rack.jobs] == ["running"]


def test_a_wedged_server_answers_and_waits_for_its_restart(rack: ComfyUiRack, group: Group) -> None:
    url = group.launch("i-1")
    eventually(lambda: rack.is_busy("i-1"))
    assert rack.strike(FaultKind.RUNTIME_WEDGES, "i-1", lasts_s=0, jobs=1)
    assert answers(url)
    assert not rack.is_up("i-1")


def test_a_command_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(LocalModeError, match="/no/such/comfyui"):
        a_rack(tmp_path, ["/no/such/comfyui"])
