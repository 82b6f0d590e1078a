"""What a running local deployment leaves on disk: `.sdfleet/local/`.

`state.json` names the processes and the control port, `outputs.json` is for the user; both are readable by their
owner only.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path

from sdfleet.errors import LocalModeError
from sdfleet_local.processes import ProcessIdentity


@dataclass(frozen=True)
class ControlAccess:
    """Where the supervisor listens, and the token it asks for."""

    url: str
    token: str = field(repr=False)


@dataclass(frozen=True)
class LocalState:
    supervisor: ProcessIdentity
    children: tuple[ProcessIdentity, ...] = ()
    #: None until the supervisor listens.
    control: ControlAccess | None = None
    is_ready: bool = False


class LocalDirectory:
    """`.sdfleet/local` under a checkout's root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.path = root / ".sdfleet" / "local"
        self.logs = self.path / "logs"
        #: Disks of the instances.
        self.scratch = self.path / "scratch"
        #: A model directory for each runtime; kept from one deployment to the next.
        self.models = self.path / "models"
        #: What its releases are made of, by version.
        self.releases = self.path / "releases"
        self.outputs_file = self.path / "outputs.json"
        self._state_file = self.path / "state.json"

    def create(self) -> None:
        self.logs.mkdir(parents=True, exist_ok=True)
        self.path.chmod(0o700)

    def read_state(self) -> LocalState | None:
        """Raises:
        LocalModeError: there is a state file that cannot be understood.
        """
        try:
            fields = json.loads(self._state_file.read_text())
            control = fields["control"]
            return LocalState(
                supervisor=ProcessIdentity(**fields["supervisor"]),
                children=tuple(ProcessIdentity(**child) for child in fields["children"]),
                control=None if control is None else ControlAccess(**control),
                is_ready=fields["is_ready"],
            )
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise LocalModeError(
                f"{self._state_file} cannot be read ({error}); stop what it names and delete {self.path}."
            ) from error

    def write_state(self, state: LocalState) -> None:
        _write_privately(self._state_file, asdict(state))

    def read_outputs(self) -> dict[str, str] | None:
        try:
            outputs: dict[str, str] = json.loads(self.outputs_file.read_text())
        except FileNotFoundError:
            return None
        return outputs

    def write_outputs(self, outputs: dict[str, str]) -> None:
        _write_privately(self.outputs_file, outputs)

    def forget(self) -> None:
        """Delete what says that something runs; the logs stay, they may tell why it does not."""
        self._state_file.unlink(missing_ok=True)
        self.outputs_file.unlink(missing_ok=True)
        shutil.rmtree(self.scratch, ignore_errors=True)
        # Their records went with the endpoint.
        shutil.rmtree(self.releases, ignore_errors=True)

    def delete(self) -> None:
        """Leave nothing; `.sdfleet` goes too unless something else lives there."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self.path.parent.is_dir() and not any(self.path.parent.iterdir()):
            self.path.parent.rmdir()


def _write_privately(path: Path, value: object) -> None:
    """Readers see the old file or the new one, never a half."""
    draft = path.with_suffix(".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(json.dumps(value, indent=2) + "\n")
    draft.replace(path)
