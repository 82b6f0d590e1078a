from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from running_service import RunningService, eventually, run_command
from sdfleet_local.processes import ProcessIdentity
from sdfleet_local.state_file import LocalDirectory


def test_a_group_that_starts_at_zero_wakes_with_a_task_and_destroy_leaves_nothing(tmp_path: Path) -> None:
    service = RunningService.start(tmp_path, "--instances", "0")
    try:
        processes = _processes(tmp_path)
        assert service.instances() == []
        assert service.submit(wait_s=20).json()["status"] == "succeeded"
        assert len(service.instances_in_service()) == 1
        processes = {*processes, *_processes(tmp_path)}
    finally:
        service.stop()
    assert len(processes) == 4
    assert not any(process.is_alive for process in processes)
    assert list(tmp_path.iterdir()) == []


def test_destroy_works_after_the_supervisor_was_killed(tmp_path: Path) -> None:
    service = RunningService.start(tmp_path)
    processes = _processes(tmp_path)
    state = LocalDirectory(tmp_path).read_state()
    assert state is not None
    os.kill(state.supervisor.pid, signal.SIGKILL)
    eventually(lambda: not state.supervisor.is_alive)
    assert run_command(tmp_path, "local", "instances").returncode == 3
    service.stop()
    assert not any(process.is_alive for process in processes)
    assert list(tmp_path.iterdir()) == []


def test_a_start_that_is_interrupted_leaves_nothing_running(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sdfleet_cli.main", "deploy", "--local", "--port", "0"]
    environment = {**os.environ, "SDFLEET_ROOT": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=_interruptible
    ) as deploy:
        assert deploy.stdout is not None
        while "instance ..." not in deploy.stdout.readline():
            assert deploy.poll() is None
        processes = eventually(lambda: _processes(tmp_path))
        deploy.send_signal(signal.SIGINT)
        _, errors = deploy.communicate(timeout=30)
    assert (deploy.returncode, errors) == (130, "Interrupted; nothing is left running.\n")
    assert not any(process.is_alive for process in processes)
    assert list(tmp_path.iterdir()) == []


def test_destroy_without_a_deployment_says_so(tmp_path: Path) -> None:
    result = run_command(tmp_path, "destroy", "--local")
    assert (result.returncode, result.stdout) == (0, "Local mode is not running.\n")


def test_a_port_in_use_is_one_clear_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        result = run_command(tmp_path, "deploy", "--local", "--port", port)
    _assert_refused(result.returncode, result.stderr, 1, f"Port {port} is in use")
    assert not (tmp_path / ".sdfleet").exists()


@pytest.mark.parametrize("runtime_type", ["sdwebui", "comfyui", "custom"])
def test_a_dead_runtime_url_is_one_clear_line(tmp_path: Path, runtime_type: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        url = f"http://127.0.0.1:{other.getsockname()[1]}"
    options = ("--runtime-type", runtime_type, "--runtime-url", url)
    result = run_command(tmp_path, "deploy", "--local", "--port", "0", *options)
    _assert_refused(result.returncode, result.stderr, 1, f"No {runtime_type} answers at {url}")
    assert not (tmp_path / ".sdfleet").exists()


def test_a_bad_config_is_a_clear_line_for_each_mistake(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("stackName: 5\nmodelsRuntime:\n  - name: UPPER\n    type: sdwebui\n")
    result = run_command(tmp_path, "deploy", "--local", "--port", "0", "--config", str(config))
    assert result.returncode == 2
    assert {line.split(":")[0] for line in result.stderr.splitlines()} == {"Error"}
    assert f"{config}:3:" in result.stderr
    assert not (tmp_path / ".sdfleet").exists()


def test_a_dry_run_says_what_would_start_and_starts_nothing(tmp_path: Path) -> None:
    result = run_command(tmp_path, "deploy", "--local", "--dry-run", "--instances", "2", "--runtime-name", "mine")
    assert result.returncode == 0
    assert "mine: 2 instance(s) on test_pattern, model v1-5-pruned-emaonly.safetensors" in result.stdout
    assert list(tmp_path.iterdir()) == []


def _interruptible() -> None:
    # A shell's job in the background has it ignored, and so has all that it starts.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _processes(root: Path) -> set[ProcessIdentity]:
    state = LocalDirectory(root).read_state()
    assert state is not None
    return {state.supervisor, *state.children}


def _assert_refused(status: int, errors: str, expected_status: int, text: str) -> None:
    assert status == expected_status
    lines = errors.splitlines()
    assert len(lines) == 1, errors
    assert text in lines[0]
