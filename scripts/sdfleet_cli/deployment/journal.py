"""What is known of a deployment on this machine: `.sdfleet/<deployment>/`.

`steps.json` has the finished steps with what they were made from; `outputs.json` is for the user; `logs/` has what the
tools said. Losing the directory costs time only: the account is what counts, and it is asked.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from sdfleet.errors import DeploymentRefused


@dataclass(frozen=True)
class FinishedStep:
    #: Digest of what it was made from.
    inputs: str
    #: What it found out: names, digests. Nothing secret.
    results: dict[str, str] = field(default_factory=dict)


class Journal:
    def __init__(self, root: Path, deployment_id: str) -> None:
        self.path = root / ".sdfleet" / deployment_id
        self.logs = self.path / "logs"
        self.outputs_file = self.path / "outputs.json"
        self._steps_file = self.path / "steps.json"
        self._place_file = self.path / "place.json"

    @contextlib.contextmanager
    def exclusively(self) -> Iterator[None]:
        """No other command works on this deployment meanwhile.

        Raises:
            DeploymentRefused: one does.
        """
        self.logs.mkdir(parents=True, exist_ok=True)
        self.path.chmod(0o700)
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError as error:
            raise DeploymentRefused("Another command is at work on this deployment; wait for its end.") from error
        finally:
            os.close(descriptor)

    def finished(self, step: str) -> FinishedStep | None:
        entry = self._read(self._steps_file).get(step)
        return FinishedStep(**entry) if isinstance(entry, dict) else None

    def finish(self, step: str, entry: FinishedStep) -> None:
        self._write(self._steps_file, {**self._read(self._steps_file), step: asdict(entry)})

    def forget(self, step: str) -> None:
        self._write(
            self._steps_file, {key: value for key, value in self._read(self._steps_file).items() if key != step}
        )

    def forget_all(self) -> None:
        for file in (self._steps_file, self.outputs_file):
            file.unlink(missing_ok=True)

    def result(self, step: str, name: str) -> str | None:
        finished = self.finished(step)
        return None if finished is None else finished.results.get(name)

    @property
    def region(self) -> str | None:
        """Where this deployment was last deployed to; None: nowhere from this checkout."""
        region = self._read(self._place_file).get("region")
        return region if isinstance(region, str) else None

    def enter_place(self, *, account_id: str, region: str) -> None:
        """Remember account and region; what was finished in others counts for nothing here."""
        place: dict[str, object] = {"account": account_id, "region": region}
        if self._read(self._place_file) != place:
            self.forget_all()
            self._write(self._place_file, place)

    def write_outputs(self, outputs: Mapping[str, str]) -> None:
        self._write(self.outputs_file, dict(outputs))

    def read_outputs(self) -> dict[str, str] | None:
        outputs = self._read(self.outputs_file)
        return {key: str(value) for key, value in outputs.items()} or None

    @staticmethod
    def _read(file: Path) -> dict[str, object]:
        try:
            value = json.loads(file.read_text())
        except (FileNotFoundError, ValueError):
            # Half a file, or none: the steps look at the account again.
            return {}
        return value if isinstance(value, dict) else {}

    def _write(self, file: Path, value: Mapping[str, object]) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        draft = file.with_suffix(".new")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(json.dumps(value, indent=2) + "\n")
        draft.replace(file)
