"""The runtime's way to the metadata service, closed by the script itself: three network namespaces, real packets.

`host` is the instance; the metadata service lies behind it, as on EC2, and so does the world; the container is on the
bridge. Docker's part, which is not ours, is its chain and the bridge.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from sdfleet_cdk import boot

_MISSING = [tool for tool in ("ip", "iptables", "unshare") if shutil.which(tool) is None]
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
    pytest.mark.skipif(
        bool(_MISSING) and os.environ.get("CI", "").lower() != "true", reason=f"needs {', '.join(_MISSING)}"
    ),
]

_LISTEN = (
    "import socket; s = socket.create_server(('{}', {})); print('up', flush=True)\nwhile True: s.accept()[0].close()"
)
_TRY = "import socket; socket.create_connection(('{}', {}), timeout=2)"

#: Run in namespaces of its own: nothing of the machine's is changed.
_SCRIPT = r"""
set -euo pipefail
mount -t tmpfs tmpfs /run
ip link set lo up
echo 1 >/proc/sys/net/ipv4/ip_forward
for far in metadata world; do
  ip netns add $far
  ip link add to-$far type veth peer name eth0 netns $far
  ip link set to-$far up
  ip -n $far link set eth0 up
  ip -n $far link set lo up
done
ip address add 169.254.0.1/32 dev to-metadata
ip route add 169.254.169.254/32 dev to-metadata
ip -n metadata address add 169.254.169.254/32 dev eth0
ip -n metadata route add 169.254.0.1 dev eth0
ip -n metadata route add default via 169.254.0.1
ip address add 10.9.0.1/24 dev to-world
ip -n world address add 10.9.0.2/24 dev eth0
ip -n world route add default via 10.9.0.1

# As Docker makes them.
iptables -N DOCKER-USER
iptables -I FORWARD -j DOCKER-USER
ip link add sdfleet0 type bridge
ip address add 172.31.255.1/24 dev sdfleet0
ip link set sdfleet0 up
ip netns add container
ip link add outer type veth peer name eth0 netns container
ip link set outer master sdfleet0 up
ip -n container link set eth0 up
ip -n container address add 172.31.255.2/24 dev eth0
ip -n container route add default via 172.31.255.1

listen() { "$@" & read -r _ < <(sleep 0.7; echo); }
listen ip netns exec metadata "$PYTHON" -c "$LISTEN_METADATA"
listen ip netns exec world "$PYTHON" -c "$LISTEN_WORLD"
listen ip netns exec container "$PYTHON" -c "$LISTEN_CONTAINER"
listen "$PYTHON" -c "$LISTEN_HOST"

tell() {
  local name=$1
  shift
  if "$@" 2>/dev/null; then echo "$name yes"; else echo "$name no"; fi
}
look() {
  tell "$1 container-metadata" ip netns exec container "$PYTHON" -c "$TRY_METADATA"
  tell "$1 container-host" ip netns exec container "$PYTHON" -c "$TRY_HOST"
  tell "$1 container-world" ip netns exec container "$PYTHON" -c "$TRY_WORLD"
  tell "$1 host-metadata" "$PYTHON" -c "$TRY_METADATA"
  tell "$1 host-container" "$PYTHON" -c "$TRY_CONTAINER"
}
look before
# Twice, as after a restart of the unit.
bash "$ISOLATE" && bash "$ISOLATE"
look after
echo "rules $(iptables -S | grep -c sdfleet0)"
kill $(jobs -p)
"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    directory = tmp_path_factory.mktemp("isolation")
    programs = directory / "bin"
    programs.mkdir()
    for name in ("docker", "systemctl"):
        # The network is there, and so is the engine.
        (programs / name).write_text("#!/bin/sh\nexit 0\n")
        (programs / name).chmod(0o755)
    (directory / "instance.env").write_text(f"SCHEDULER_UID={boot.SCHEDULER_UID}\n")
    for name in ("boot.sh", "isolate.sh"):
        text = (boot.FILES / name).read_text()
        text = text.replace("/usr/local/lib/sdfleet/", f"{directory}/").replace("/etc/sdfleet/", f"{directory}/")
        (directory / name).write_text(text)
    environment = {
        "PATH": f"{programs}:/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHON": sys.executable,
        "ISOLATE": str(directory / "isolate.sh"),
        "LISTEN_METADATA": _LISTEN.format("169.254.169.254", 80),
        "LISTEN_WORLD": _LISTEN.format("10.9.0.2", 443),
        "LISTEN_CONTAINER": _LISTEN.format("172.31.255.2", 8188),
        "LISTEN_HOST": _LISTEN.format("0.0.0.0", 8000),
        "TRY_METADATA": _TRY.format("169.254.169.254", 80),
        "TRY_WORLD": _TRY.format("10.9.0.2", 443),
        "TRY_CONTAINER": _TRY.format("172.31.255.2", 8188),
        "TRY_HOST": _TRY.format("172.31.255.1", 8000),
    }
    words = ["unshare", "--net", "--mount", "--propagation", "private", "bash", "-c", _SCRIPT]
    ran = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode == 0, ran.stderr
    return set(ran.stdout.splitlines())


def test_without_the_rule_a_container_reaches_everything(seen: set[str]) -> None:
    # Else the others would prove nothing.
    assert {"before container-metadata yes", "before container-host yes", "before container-world yes"} <= seen


def test_the_container_has_no_way_to_the_metadata_service(seen: set[str]) -> None:
    assert "after container-metadata no" in seen


def test_the_container_has_no_way_to_what_listens_on_the_machine(seen: set[str]) -> None:
    assert "after container-host no" in seen


def test_the_machine_reaches_the_metadata_service_and_the_runtime(seen: set[str]) -> None:
    assert {"after host-metadata yes", "after host-container yes"} <= seen


def test_the_container_reaches_the_world(seen: set[str]) -> None:
    assert "after container-world yes" in seen


def test_a_second_start_of_the_unit_adds_no_second_rule(seen: set[str]) -> None:
    assert "rules 2" in seen
