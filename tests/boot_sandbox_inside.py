"""The boot's sandbox from within: its services, the tree's layers, and what is seen of the boot. Run by `boot_sandbox`.

Mounts and addresses are those of the namespaces that this program was started in.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from boot_sandbox import (
    INSTANCE,
    MODEL,
    PATIENCE_S,
    REGION,
    RELEASE,
    ROOT,
    RUNTIME_IMAGE,
    SCHEDULER_IMAGE,
    STAND_INS,
    TREE,
    Outcome,
    Scenario,
)


class AutoScalingCalls(ThreadingHTTPServer):
    """Notes what is asked of the group."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _AutoScalingHandler)
        self.calls: list[dict[str, str]] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def results(self) -> list[str]:
        return [one["LifecycleActionResult"] for one in self.calls if one["Action"] == "CompleteLifecycleAction"]


class _AutoScalingHandler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        call = {name: values[0] for name, values in parse_qs(body).items()}
        assert isinstance(self.server, AutoScalingCalls)
        self.server.calls.append(call)
        action = call["Action"]
        answer = (
            f'<{action}Response xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/"><{action}Result/>'
            f"<ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></{action}Response>"
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        """Nobody reads it."""


class Sandbox:
    def __init__(self, scenario: Scenario, work: Path) -> None:
        self.scenario = scenario
        self.work = work
        self.tree = work / "tree"
        self.group = AutoScalingCalls()
        self.endpoint = f"http://127.0.0.1:{_free_port()}"
        self.environment = {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
            # The interpreter's own packages; sources are the checkout's.
            "PYTHONPATH": ":".join(str(ROOT / one) for one in ("src", "scheduler", "benchmarks", "tests")),
        }

    def boot(self) -> Outcome:
        os.environ.update(self.environment)
        self._serve_aws()
        self._serve_metadata()
        begun = time.monotonic()
        self._lay_out()
        outcome = Outcome(complaints=self._verified())
        machine = subprocess.Popen(self._nspawn(), stdin=subprocess.DEVNULL)
        try:
            self._wait(machine)
            outcome.readiness = _status("http://127.0.0.1:8000/readyz")
            # Both write a little after the group was told.
            time.sleep(2)
            outcome.marks = _text(machine.pid, "run/sdfleet/marks")
        finally:
            _end(machine)
        outcome.seconds = time.monotonic() - begun
        self._look(outcome)
        return outcome

    def _wait(self, machine: subprocess.Popen[bytes]) -> None:
        until = time.monotonic() + PATIENCE_S + 30
        while time.monotonic() < until and machine.poll() is None and not self.group.calls:
            time.sleep(0.1)

    def _serve_aws(self) -> None:
        from sdfleet_local import aws_endpoint

        port = int(self.endpoint.rpartition(":")[2])
        arguments = {"autoscaling_url": self.group.url}
        threading.Thread(target=aws_endpoint.serve, args=(port,), kwargs=arguments, daemon=True).start()
        while _status(f"{self.endpoint}/moto-api/data.json") != 200:
            time.sleep(0.1)

    def _serve_metadata(self) -> None:
        from fake_imds import InstanceTags
        from sdfleet_local.imds import MetadataListener

        tags = {
            "sdfleet-release": RELEASE,
            "sdfleet-scheduler-image": SCHEDULER_IMAGE,
            "sdfleet-runtime-image": RUNTIME_IMAGE,
        }
        for name in self.scenario.missing_tags:
            del tags[name]
        metadata = InstanceTags(INSTANCE, tags.get("sdfleet-release", ""), f"{REGION}a", REGION, tags=tags)
        MetadataListener(metadata, address=("169.254.169.254", 80))

    def _lay_out(self) -> None:
        layers = self.work / "layers"
        for name in ("upper", "work"):
            (layers / name).mkdir(parents=True)
        self.tree.mkdir()
        options = f"lowerdir={TREE},upperdir={layers}/upper,workdir={layers}/work"
        _do("mount", "-t", "overlay", "overlay", "-o", options, str(self.tree))
        # The interpreter lies below /root, and the scheduler is no root.
        (self.tree / "root").chmod(0o755)
        (self.tree / "var/log/journal").mkdir(parents=True, exist_ok=True)
        self._install("usr/bin/docker", (STAND_INS / "docker.py").read_text(), mode=0o755)
        self._install("etc/stand-ins.json", json.dumps(self._stand_ins()))
        exports = "".join(f"export {name}={value}\n" for name, value in self.environment.items() if name[:3] == "AWS")
        # It is of a time before the variable for the endpoint.
        aws = f'#!/bin/sh\n{exports}exec /usr/bin/aws --endpoint-url {self.endpoint} "$@"\n'
        self._install("usr/local/bin/aws", aws, mode=0o755)
        self._install("etc/systemd/system/docker.service", _UNIT.format("iptables -N DOCKER-USER", "sysinit.target"))
        self._install("etc/user-data", self._user_data())
        self._install("usr/local/bin/cloud-init", (STAND_INS / "cloud_init.py").read_text(), mode=0o755)
        init = _UNIT.format("/usr/local/bin/cloud-init init", "sysinit.target")
        final = _UNIT.format("/usr/local/bin/cloud-init final", "cloud-init.service")
        self._install("etc/systemd/system/cloud-init.service", init)
        self._install("etc/systemd/system/cloud-final.service", final)
        wants = self.tree / "etc/systemd/system/multi-user.target.wants"
        wants.mkdir(exist_ok=True)
        units = ["docker.service", "cloud-init.service", "cloud-final.service"]
        if self.scenario.ami_brings_files:
            from sdfleet_cdk import boot

            for file in boot.baked_files():
                self._install(file.path.lstrip("/"), file.content, mode=int(file.permissions, 8))
            units.append("sdfleet.target")
        for unit in units:
            (wants / unit).symlink_to(f"/etc/systemd/system/{unit}")

    def _verified(self) -> str:
        """What systemd has to say of our units, with everything that they start in its place."""
        units = sorted(
            f"/{one.relative_to(self.tree)}" for one in (self.tree / "etc/systemd/system").glob("sdfleet*.*")
        )
        if not units:
            return ""
        proc = str(self.tree / "proc")
        _do("mount", "-t", "proc", "proc", proc)
        words = ["chroot", str(self.tree), "systemd-analyze", "verify", *units]
        said = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        _do("umount", proc)
        return said.stdout

    def _stand_ins(self) -> dict[str, Any]:
        python = sys.executable
        runtime = [python, str(STAND_INS / "runtime_server.py")]
        return {
            "images": [one for one in (SCHEDULER_IMAGE, RUNTIME_IMAGE) if one not in self.scenario.missing_images],
            "environment": self.environment,
            "relay": [python, str(STAND_INS / "relay.py")],
            "commands": {
                "sdfleet-scheduler": [python, "-m", "sdfleet_scheduler"],
                "sdfleet-runtime": ["sh", "-c", "exit 3"] if self.scenario.is_runtime_dead else runtime,
            },
        }

    def _user_data(self) -> str:
        from sdfleet.config import Config
        from sdfleet_cdk import boot

        webui = {"name": "sdruntime", "type": "sdwebui", "modelFilename": MODEL}
        keys = {"stackName": "sdfleet", "region": REGION, "modelsRuntime": [webui]}
        config = Config.model_validate({**keys, "modelBucketArn": "arn:aws:s3:::models"})
        files = boot.settings_files(config, config.runtimes[0], self._provision(), region=REGION)
        files = [
            boot.BootFile(one.path, one.content.replace("BOOT_PATIENCE_S=1140", f"BOOT_PATIENCE_S={PATIENCE_S}"))
            for one in files
        ]
        return boot.cloud_config(files, baked=[] if self.scenario.ami_brings_files else boot.baked_files())

    def _provision(self) -> Any:
        import boto3

        from sdfleet.aws.clients import Clients
        from sdfleet.aws.task_table import table_definition
        from sdfleet.domain import names
        from sdfleet.domain.task import RuntimeType
        from sdfleet.environment import DeploymentEnvironment, RuntimeEnvironment

        clients = Clients()
        queue, dead_letters = (
            clients.sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("sdfleet-sdruntime", "dead")
        )
        clients.dynamodb.create_table(**table_definition("sdfleet-tasks"))
        where: Any = {"LocationConstraint": REGION}
        for bucket in ("models", "outputs", "inbox"):
            clients.s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=where)
        clients.s3.put_object(Bucket="models", Key="ESRGAN/4x.pth", Body=b"upscaler")
        if self.scenario.has_model:
            clients.s3.put_object(Bucket="models", Key=f"Stable-diffusion/{MODEL}", Body=bytes(3_000_000))
        boto3.client("logs").create_log_group(logGroupName=names.fleet_log_group("sdfleet", "sdruntime"))
        topic = clients.sns.create_topic(Name="results")["TopicArn"]
        runtime = RuntimeEnvironment("sdruntime", RuntimeType.SDWEBUI, queue, dead_letters, model_filename=MODEL)
        return DeploymentEnvironment(
            "sdfleet", "sdfleet-tasks", "outputs", "inbox", topic, topic, (runtime,), model_bucket="models"
        )

    def _nspawn(self) -> list[str]:
        binds = [f"--bind-ro={path}" for path in (ROOT, Path(sys.base_prefix).resolve())]
        if self.scenario.disk_bytes is not None:
            disk = self.work / "disk"
            disk.mkdir()
            _do("mount", "-t", "tmpfs", "-o", f"size={self.scenario.disk_bytes}", "tmpfs", str(disk))
            (disk / "filled").write_bytes(bytes(self.scenario.filled_bytes))
            binds.append(f"--bind={disk}:/var/lib/sdfleet")
        return [
            *("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot", "--console=pipe"),
            *("--capability=all", "--directory", str(self.tree), *binds),
        ]

    def _install(self, path: str, text: str, *, mode: int = 0o644) -> None:
        file = self.tree / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def _look(self, outcome: Outcome) -> None:
        import boto3

        from sdfleet.aws.boot_table import DynamoBootRecords
        from sdfleet.aws.clients import Clients
        from sdfleet.domain import names

        outcome.hook = self.group.results()
        outcome.unhealthy = sum(one["Action"] == "SetInstanceHealth" for one in self.group.calls)
        release = "unreleased" if "sdfleet-release" in self.scenario.missing_tags else RELEASE
        record = DynamoBootRecords(Clients().dynamodb, "sdfleet-tasks").load("sdruntime", release)
        outcome.failures, outcome.reason, outcome.boot_s = record.failures_in_a_row, record.reason, record.boot_s
        group = names.fleet_log_group("sdfleet", "sdruntime")
        found = boto3.client("logs").filter_log_events(logGroupName=group)["events"]
        outcome.log = [one["message"] for one in found]
        log = self.tree / "var/log/sdfleet-scheduler.log"
        lines = log.read_text().splitlines() if log.exists() else []
        events = [json.loads(line) for line in lines if line.startswith("{")]
        outcome.events = [one for one in events if "event" in one]
        reached = self.tree / "var/lib/sdfleet/scratch/reached.json"
        outcome.reached = json.loads(reached.read_text()) if reached.exists() else {}
        words = [
            "journalctl",
            "--no-pager",
            "-D",
            str(self.tree / "var/log/journal"),
            "-n",
            "150",
            "-o",
            "short-monotonic",
        ]
        journal = subprocess.run(words, capture_output=True, text=True, check=False).stdout
        outcome.journal = journal + "\n".join(lines[-30:])


_UNIT = "[Unit]\nAfter={1}\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart={0}\n"


def _do(*words: str) -> None:
    subprocess.run(words, check=True)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def _text(machine: int, path: str) -> str:
    """A file of the running machine, of whose first process `machine` is the parent."""
    children = Path(f"/proc/{machine}/task/{machine}/children").read_text().split()
    for child in children:
        try:
            return Path(f"/proc/{child}/root/{path}").read_text()
        except OSError:
            continue
    return ""


def _end(machine: subprocess.Popen[bytes]) -> None:
    for _ in range(2):
        if machine.poll() is None:
            machine.send_signal(signal.SIGTERM)
            try:
                machine.wait(10)
            except subprocess.TimeoutExpired:
                continue
    if machine.poll() is None:
        machine.kill()
        machine.wait()


def _prepare_namespaces() -> None:
    """Only what is in these namespaces is changed: the machine's own mounts and addresses stay."""
    _do("mount", "--make-rprivate", "/")
    _do("mount", "-t", "tmpfs", "tmpfs", "/run")
    Path("/run/lock").mkdir()
    # systemd wants the one hierarchy, whatever this machine has.
    _do("mount", "-t", "tmpfs", "tmpfs", "/sys/fs/cgroup")
    _do("mount", "-t", "cgroup2", "cgroup2", "/sys/fs/cgroup")
    _do("ip", "link", "set", "lo", "up")
    _do("ip", "address", "add", "169.254.169.254/32", "dev", "lo")


def main(scenario: Mapping[str, Any], answer: Path) -> None:
    for name in ("missing_tags", "missing_images"):
        scenario = {**scenario, name: tuple(scenario[name])}
    _prepare_namespaces()
    with tempfile.TemporaryDirectory(dir=TREE.parent) as directory:
        work = Path(directory)
        _do("mount", "-t", "tmpfs", "tmpfs", directory)
        try:
            outcome = Sandbox(Scenario(**scenario), work).boot()
        finally:
            subprocess.run(["umount", "--recursive", "--lazy", directory], check=False)
    answer.write_text(json.dumps(asdict(outcome)))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), Path(sys.argv[2]))
    # The endpoint's threads serve for ever.
    os._exit(0)
