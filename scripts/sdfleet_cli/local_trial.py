"""A small scene played for real by a local deployment, as the simulation is checked against it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from sdfleet.errors import LocalModeError

_START_S, _END_S = 120.0, 240.0


@dataclass(frozen=True)
class Played:
    """Seconds from the first acceptance, sorted by it."""

    accepted: tuple[float, ...]
    waits: tuple[float, ...]
    #: Of the tasks, claim to end, in the middle.
    run_s: float
    #: From launch to service, each instance's; none: all stood there before.
    boots: tuple[float, ...]
    #: When alarms first changed the capacity; None: they never did.
    first_alarm_s: float | None


@dataclass
class Trial:
    root: Path
    _http: httpx.Client

    def play(self, moments: Sequence[float], task_s: float) -> Played:
        """Hands a task in at each moment and waits for the end of all.

        Raises:
            LocalModeError: a task is refused, fails or does not end.
        """
        began = time.monotonic()
        tasks = []
        for number, moment in enumerate(moments):
            time.sleep(max(0.0, began + moment - time.monotonic()))
            tasks.append(self._submit(f"trial-{os.urandom(4).hex()}-{number}", task_s))
        views = [self._ended(task) for task in tasks]
        begins = [_moment(view["created_at"]) for view in views]
        first = min(begins)
        rows = sorted(
            ((at - first).total_seconds(), (_moment(view["started_at"]) - at).total_seconds(), float(view["run_s"]))
            for at, view in zip(begins, views, strict=True)
        )
        launched = self._events("instance.launched", first)
        served = {one["instance_id"]: at for at, one in self._events("instance.in_service", first)}
        alarms = [at for at, _ in self._events("group.scaled", first)]
        return Played(
            accepted=tuple(at for at, _, _ in rows),
            waits=tuple(wait for _, wait, _ in rows),
            run_s=median(run for *_, run in rows),
            boots=tuple(
                (served[one["instance_id"]] - at).total_seconds()
                for at, one in launched
                if one["instance_id"] in served
            ),
            first_alarm_s=(alarms[0] - first).total_seconds() if alarms else None,
        )

    def _submit(self, task_id: str, task_s: float) -> str:
        content = {"prompt": "A dog", "width": 64, "height": 64, "test_pattern_seconds": task_s}
        metadata = {"id": task_id, "runtime": "sdruntime", "tasktype": "text-to-image"}
        answer = self._http.post("v1alpha2", json={"task": {"metadata": metadata, "content": content}})
        if not answer.is_success:
            raise LocalModeError(f"The local deployment refuses a task: {answer.status_code}.")
        return task_id

    def _ended(self, task_id: str) -> dict[str, Any]:
        end = time.monotonic() + _END_S
        while time.monotonic() < end:
            view: dict[str, Any] = self._http.get(f"v1alpha2/tasks/{task_id}").json()
            if view["status"] == "succeeded":
                return view
            if view["status"] in ("failed", "cancelled"):
                raise LocalModeError(f"A task has ended as {view['status']}: {view['error']}.")
            time.sleep(0.5)
        raise LocalModeError(f"A task has not ended within {_END_S:.0f} s; the machine is too busy for a comparison.")

    def _events(self, name: str, since: datetime) -> list[tuple[datetime, dict[str, Any]]]:
        text = (self.root / ".sdfleet" / "local" / "logs" / "supervisor.log").read_text(encoding="utf-8")
        lines = [json.loads(line) for line in text.splitlines() if line.startswith("{") and f'"{name}"' in line]
        found = [(datetime.fromisoformat(line["time"]), line) for line in lines if line.get("event") == name]
        return sorted(((at, line) for at, line in found if at >= since), key=lambda pair: pair[0])


@contextmanager
def trial(*arguments: str) -> Iterator[Trial]:
    """A deployment of its own, in a directory of its own, that is gone afterwards.

    Raises:
        LocalModeError: it does not start.
    """
    with TemporaryDirectory(prefix="sdfleet-trial-") as folder:
        root = Path(folder)
        try:
            started = _command(root, "deploy", "--local", "--port", "0", *arguments)
            if started.returncode:
                raise LocalModeError(f"No local deployment starts: {started.stderr.strip().splitlines()[-1:]}")
            outputs = json.loads((root / ".sdfleet" / "local" / "outputs.json").read_text(encoding="utf-8"))
            with httpx.Client(
                base_url=outputs["FrontApiEndpoint"],
                headers={"x-api-key": outputs["ApiKey"]},
                timeout=30.0,
                trust_env=False,
            ) as client:
                yield Trial(root, client)
        finally:
            _command(root, "destroy", "--local")


def _command(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sdfleet_cli.main", *arguments],
        env={**os.environ, "SDFLEET_ROOT": str(root)},
        capture_output=True,
        text=True,
        timeout=_START_S,
        check=False,
    )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
