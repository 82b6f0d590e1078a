"""Starts and stops the local deployment of a checkout, and finds the one that runs."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

from sdfleet.errors import LocalModeError
from sdfleet_local import child, loopback, processes
from sdfleet_local.control import ControlClient
from sdfleet_local.plan import RELEASE, LocalPlan
from sdfleet_local.progress import StepKind, read_steps
from sdfleet_local.snapshots import keep_what_runs
from sdfleet_local.state_file import LocalDirectory, LocalState

#: The supervisor's own grace for tasks in hand, twice, and its children's end.
STOP_PATIENCE = timedelta(seconds=25)


class RefusedByState(LocalModeError):
    """What is there does not allow it."""


class LocalDeployment:
    def __init__(self, root: Path) -> None:
        """`root` is the checkout's; there is one local deployment in each."""
        self.directory = LocalDirectory(root)

    @contextlib.contextmanager
    def exclusively(self) -> Iterator[None]:
        """No other command starts or stops this deployment meanwhile.

        Raises:
            RefusedByState: one does.
        """
        # The directory itself is the lock: no file is left behind.
        descriptor = os.open(self.directory.root, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError as error:
            raise RefusedByState("Another deploy or destroy is at work in this checkout; wait for its end.") from error
        finally:
            os.close(descriptor)

    def running(self) -> LocalState | None:
        """The state of the deployment that runs; None if none does."""
        state = self.directory.read_state()
        return state if state is not None and state.supervisor.is_alive else None

    def outputs(self) -> dict[str, str]:
        """Raises:
        RefusedByState: it does not run, or not yet.
        """
        state = self.running()
        outputs = self.directory.read_outputs()
        if state is None or not state.is_ready or outputs is None:
            raise RefusedByState("Local mode is not running; start it with ./deploy.sh --local.")
        return outputs

    def control(self) -> ControlClient:
        """Raises:
        RefusedByState: it does not run.
        """
        state = self.running()
        if state is None or state.control is None:
            raise RefusedByState("Local mode is not running; start it with ./deploy.sh --local.")
        return ControlClient(state.control)

    def start(self, plan: LocalPlan, on_step: Callable[[str], None]) -> dict[str, str]:
        """Start everything in the background; the outputs once it is ready.

        Raises:
            LocalModeError: it did not start; nothing is left running.
        """
        if not loopback.is_free(plan.port):
            raise LocalModeError(f"Port {plan.port} is in use; choose another with --port.")
        self.directory.delete()
        self.directory.create()
        keep_what_runs(self.directory.releases, RELEASE)
        ours, theirs = os.pipe()
        try:
            supervisor = self._launch_supervisor(plan, theirs)
        finally:
            os.close(theirs)
        failure = "It ended without a word."
        try:
            for step in read_steps(ours):
                if step.kind is StepKind.READY:
                    return self.outputs()
                if step.kind is StepKind.FAILED:
                    failure = step.text
                    break
                on_step(step.text)
            else:
                failure = child.last_line(self.directory.logs / "supervisor.log") or failure
        except BaseException:
            # Ctrl-C: whoever interrupts the start does not want what it would leave running.
            supervisor.send_signal(signal.SIGTERM)
            supervisor.wait(STOP_PATIENCE.total_seconds())
            self.directory.delete()
            raise
        supervisor.wait(STOP_PATIENCE.total_seconds())
        self.stop_remains()
        raise LocalModeError(failure)

    def stop(self) -> bool:
        """Stop everything and leave nothing behind; False if there was nothing."""
        state = self.directory.read_state()
        was_there = state is not None or self.directory.path.exists()
        if state is not None:
            processes.stop([state.supervisor], grace=STOP_PATIENCE)
        self.stop_remains(state)
        self.directory.delete()
        return was_there

    def stop_remains(self, last_known: LocalState | None = None) -> None:
        """End the children of a supervisor that is gone: it was killed before it could."""
        for state in (last_known, self.directory.read_state()):
            if state is not None:
                processes.stop(state.children, grace=timedelta(seconds=2))
        self.directory.forget()

    def _launch_supervisor(self, plan: LocalPlan, progress: int) -> subprocess.Popen[bytes]:
        with (self.directory.logs / "supervisor.log").open("ab") as log:
            supervisor = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", "sdfleet_local", "--root", self.directory.root, "--progress-fd", str(progress)],
                env=child.base_environment(),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=(progress,),
                # Ctrl-C in the terminal is not for it.
                start_new_session=True,
            )
        if supervisor.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                supervisor.stdin.write(plan.to_json().encode())
                supervisor.stdin.close()
        return supervisor
