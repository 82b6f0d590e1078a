"""The api-scheduler's image: built by buildah, pushed and recorded; then run as an instance runs it.

Takes a base image that is on this machine, which SDFLEET_BASE_IMAGE names (docs/operations/images.md, "Without a
registry"), buildah and podman; some minutes. SDFLEET_PIP_CONFIG may name settings of pip's.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from account_stub import ACCOUNT, REGION, FakeAccount, running_account
from certificates_for_tests import certificates
from registry_double import running_registry
from running_service import RunningService, eventually, new_id
from sdfleet_local.imds import InstanceMetadata, MetadataListener
from sdfleet_local.loopback import free_port

BASE = os.environ.get("SDFLEET_BASE_IMAGE", "")
PIP_CONFIG = os.environ.get("SDFLEET_PIP_CONFIG", "")
MISSING = [name for name in ("buildah", "podman") if shutil.which(name) is None]
pytestmark = [
    pytest.mark.skipif(not BASE, reason="SDFLEET_BASE_IMAGE names no base image"),
    pytest.mark.skipif(bool(MISSING), reason=f"{' and '.join(MISSING)} is not installed"),
]

_ROOT = Path(__file__).resolve().parents[2]
REGISTRY = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
USER = "10001:10001"
INSTANCE = "i-0123456789abcdef0"
#: What a build on two busy cores may take; a free machine needs a fifth.
BUILD_WITHIN_S = 900


@dataclass(frozen=True)
class Built:
    reference: str
    #: As ECR was given it.
    digest: str
    release: dict[str, Any]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    place = tmp_path_factory.mktemp("image")
    with running_account(place) as account:
        ran = built_and_pushed(place, account)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        image = account.client("ecr").describe_images(repositoryName="sdfleet/sdfleet/scheduler")["imageDetails"][0]
        record = account.client("ssm").get_parameter(Name="/sdfleet/sdfleet/pattern/releases/1.1.0")
        reference = f"{REGISTRY}/sdfleet/sdfleet/scheduler:1.1.0"
        yield Built(reference, image["imageDigest"], json.loads(record["Parameter"]["Value"]))
    podman("rmi", "--force", reference, check=False)


def built_and_pushed(place: Path, account: FakeAccount) -> subprocess.CompletedProcess[str]:
    """The command of the command line, with buildah and no other engine."""
    root = a_checkout(place / "checkout")
    tools = place / "tools"
    tools.mkdir()
    for tool in ("buildah", "git"):
        (tools / tool).symlink_to(shutil.which(tool) or tool)
    server_side, _ = certificates(REGISTRY, place)
    trusted = place / "trusted.pem"
    system = Path(os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt"))
    trusted.write_bytes((place / "server.pem").read_bytes() + (system.read_bytes() if system.exists() else b""))

    def take(repository: str, tag: str, manifest: bytes, media_type: str) -> None:
        account.client("ecr").put_image(
            repositoryName=repository,
            imageTag=tag,
            imageManifest=manifest.decode(),
            imageManifestMediaType=media_type,
        )

    token = account.client("ecr").get_authorization_token()["authorizationData"][0]["authorizationToken"]
    password = base64.b64decode(token).decode().partition(":")[2]
    options = ["--base", BASE, *(("--pip-config", PIP_CONFIG) if PIP_CONFIG else ())]
    with running_registry(REGISTRY, password, server_side, take) as registry:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            **account.environment,
            "SDFLEET_ROOT": str(root),
            "PATH": str(tools),
            "HTTPS_PROXY": registry.proxy_url,
            "SSL_CERT_FILE": str(trusted),
            "REGISTRY_AUTH_FILE": str(place / "login.json"),
        }
        return subprocess.run(
            [sys.executable, "-m", "sdfleet_cli.main", "build-images", "sdfleet", "1.1.0", *options],
            env=environment,
            capture_output=True,
            text=True,
            timeout=BUILD_WITHIN_S,
            check=False,
        )


def a_checkout(root: Path) -> Path:
    """What images are made of, and a configuration of one fleet without a server."""
    for name in (".dockerignore", "LICENSE", "requirements", "scheduler", "src"):
        source = _ROOT / name
        if source.is_dir():
            shutil.copytree(source, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            root.mkdir(exist_ok=True)
            shutil.copy(source, root / name)
    (root / "config").mkdir()
    (root / "config/config.yaml").write_text("modelsRuntime: [{name: pattern, type: test_pattern}]\n")
    return root


def podman(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["podman", *words], capture_output=True, text=True, timeout=300, check=check)


def test_the_release_names_the_image_by_the_digest_that_the_registry_took(built: Built) -> None:
    assert built.release["scheduler_image"] == f"{REGISTRY}/sdfleet/sdfleet/scheduler@{built.digest}"


def test_the_image_says_how_it_is_run_and_has_nothing_of_the_build(built: Built) -> None:
    (image,) = json.loads(podman("image", "inspect", built.reference).stdout)
    assert image["Config"]["User"] == USER
    assert image["Healthcheck"]["Test"][0] == "CMD"
    assert image["Config"]["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"
    described = json.dumps(image)
    if PIP_CONFIG:
        assert "index-url" in Path(PIP_CONFIG).read_text()
        words = [word for word in Path(PIP_CONFIG).read_text().split() if "://" in word]
        assert not [word for word in words if word in described]
    held = in_a_container(built, "import os; print(os.path.exists('/etc/pip.conf'), os.path.exists('/run/secrets'))")
    assert held == "False False"


def test_its_root_is_read_only_for_a_user_without_privileges(built: Built) -> None:
    program = """\
import os
for place in ("/", "/opt/sdfleet/app", "/tmp", "/var/tmp"):
    try:
        open(os.path.join(place, "written"), "w")
    except OSError:
        continue
    print(place)
print(os.getuid(), os.getgid())
"""
    assert in_a_container(built, program) == "10001 10001"


def in_a_container(built: Built, program: str) -> str:
    ran = podman("run", "--rm", *_CONFINED, "--entrypoint", "python3", built.reference, "-c", program)
    return ran.stdout.strip()


#: As boot_files/scheduler.sh has it.
_CONFINED = (
    "--network=host", "--read-only", "--read-only-tmpfs=false", f"--user={USER}", "--cap-drop=ALL",
    "--security-opt=no-new-privileges", "--health-interval=disable",
)  # fmt: skip


def test_it_is_healthy_and_processes_a_task_of_the_embedded_endpoint(built: Built, tmp_path: Path) -> None:
    root = tmp_path / "a deployment"
    root.mkdir()
    service = RunningService.start(root, "--instances", "1")
    try:
        (instance,) = service.instances_in_service()
        settings = environment_of(instance["pid"])
        service.autoscaling(
            "SuspendProcesses",
            **{"AutoScalingGroupName": group_of(service), "ScalingProcesses.member.1": "Launch"},
        )
        os.kill(instance["pid"], 9)
        eventually(lambda: not service.instances_in_service(), within_s=60)
        with running_container(built, settings, tmp_path) as name:
            # Nobody else is there to do it.
            task = service.submit().json()
            ended = service.ended(task["id"], within_s=120)
            assert ended["status"] == "succeeded"
            assert service.object_at(ended["image_url"][0]).startswith(b"\x89PNG")
            assert podman("healthcheck", "run", name).returncode == 0
            log = podman("logs", name)
            events = [json.loads(line) for line in (log.stdout + log.stderr).splitlines() if line.startswith("{")]
            assert {(one.get("instance_id"), one.get("release")) for one in events if one.get("task_id")} == {
                (INSTANCE, "1.1.0")
            }
            podman("stop", "--time=30", name)
            (ended_container,) = json.loads(podman("inspect", name).stdout)
            assert ended_container["State"]["ExitCode"] == 0
    finally:
        service.stop()


def environment_of(pid: int) -> dict[str, str]:
    """What an instance's scheduler was told, as far as it is for a scheduler elsewhere too."""
    told = dict(part.split("=", 1) for part in Path(f"/proc/{pid}/environ").read_text().split("\0") if "=" in part)
    own = json.loads(told["SDFLEET_SCHEDULER"])
    # It is not one of the group's.
    kept = {name: value for name, value in own.items() if not name.endswith(("_hook", "group_name"))}
    return {
        **{name: value for name, value in told.items() if name.startswith("AWS_")},
        "SDFLEET_DEPLOYMENT": told["SDFLEET_DEPLOYMENT"],
        "SDFLEET_SCHEDULER": json.dumps({**kept, "port": free_port()}),
        "NO_PROXY": "127.0.0.1",
    }


def group_of(service: RunningService) -> str:
    return next(value for key, value in service.outputs.items() if key.endswith("AutoScalingGroupName"))


@contextmanager
def running_container(built: Built, settings: Mapping[str, str], place: Path) -> Iterator[str]:
    """The image as an instance's unit starts it, once it takes tasks; its name."""
    name = f"sdfleet-{new_id()}"
    scratch = place / "scratch"
    scratch.mkdir()
    os.chown(scratch, 10001, 10001)
    metadata = MetadataListener(InstanceMetadata(INSTANCE, "1.1.0", f"{REGION}a", REGION))
    told = {**settings, "AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata.url, "TMPDIR": str(scratch)}
    file = place / "scheduler.env"
    file.write_text("".join(f"{key}={value}\n" for key, value in told.items()))
    port = json.loads(settings["SDFLEET_SCHEDULER"])["port"]
    volume = f"--volume={scratch}:{scratch}"
    try:
        podman("run", "--detach", "--name", name, *_CONFINED, "--env-file", str(file), volume, built.reference)
        eventually(lambda: is_ready(port), within_s=60)
        yield name
    finally:
        podman("rm", "--force", name, check=False)
        metadata.close()


def is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).is_success
    except httpx.TransportError:
        return False
