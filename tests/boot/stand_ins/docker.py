#!/usr/bin/python3
"""Stands in for Docker in the boot's sandbox, as far as the boot scripts use it: a container is a process.

The scheduler's runs as the user that is asked for, the runtime's in a network namespace behind the bridge, published by
a relay. What a registry or an image would do is told in /etc/stand-ins.json.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

STATE = Path("/var/lib/docker")
SETTINGS = json.loads(Path("/etc/stand-ins.json").read_text())
CONTAINER_ADDRESS = "172.31.255.2"
#: Options of `docker run` without a value.
FLAGS = {"--rm", "--read-only", "--quiet", "--force"}


def main(words: list[str]) -> int:
    if words[:2] == ["network", "inspect"]:
        return int(not (STATE / "network").exists())
    if words[:2] == ["network", "create"]:
        return make_network(words)
    if words[:2] == ["image", "inspect"]:
        return int(words[2] not in SETTINGS["images"])
    if words[0] == "pull":
        return pull(words[-1])
    if words[0] in ("rm", "stop"):
        return end(words[-1])
    if words[0] == "run":
        run(words[1:])
    return 0


def make_network(words: list[str]) -> int:
    (bridge,) = (word.split("=")[1] for word in words if word.startswith("com.docker.network.bridge.name="))
    for command in (
        f"link add {bridge} type bridge",
        f"address add 172.31.255.1/24 dev {bridge}",
        f"link set {bridge} up",
    ):
        subprocess.run(["ip", *command.split()], check=True)
    STATE.mkdir(exist_ok=True)
    (STATE / "network").touch()
    return 0


def pull(image: str) -> int:
    host, _, port = image.split("/")[0].partition(":")
    try:
        socket.create_connection((host, int(port or 443)), timeout=2).close()
    except OSError as error:
        sys.stderr.write(f"Error response from daemon: Get https://{host}/v2/: {error.strerror or error}\n")
        return 1
    return 0


def end(name: str) -> int:
    try:
        os.kill(int((STATE / f"{name}.pid").read_text()), 15)
    except (OSError, ValueError):
        return 1
    return 0


def run(words: list[str]) -> None:
    options: dict[str, list[str]] = {}
    while words[0].startswith("--"):
        option = words.pop(0)
        options.setdefault(option, []).append("" if option in FLAGS else words.pop(0))
    # What would refuse a word that Docker does not know.
    assert "--security-opt" in options
    name = options["--name"][0]
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    for file in options.get("--env-file", []):
        environment |= dict(line.split("=", 1) for line in Path(file).read_text().splitlines() if line)
    environment |= dict(one.split("=", 1) for one in options.get("--env", []))
    STATE.mkdir(exist_ok=True)
    (STATE / f"{name}.pid").write_text(str(os.getpid()))
    output = os.open(f"/var/log/{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(output, 1)
    os.dup2(output, 2)
    # The log driver makes the stream before the container starts.
    assert "awslogs" in options["--log-driver"]
    command: list[str] = SETTINGS["commands"][name]
    if options["--network"] == ["host"]:
        user, group = options["--user"][0].split(":")
        command = ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "--no-new-privs", *command]
    else:
        publish(options["--publish"][0])
        command = ["ip", "netns", "exec", "container", *command]
    os.execvpe(command[0], command, {**environment, **SETTINGS["environment"]})


def publish(mapping: str) -> None:
    """As Docker's own relay does it; the packets come from the host's side of the bridge."""
    address, port, inner = mapping.split(":")
    subprocess.run(["ip", "netns", "delete", "container"], check=False, stderr=subprocess.DEVNULL)
    for command in (
        "netns add container",
        "link add outer type veth peer name inner netns container",
        "link set outer master sdfleet0 up",
        "-n container link set lo up",
        f"-n container address add {CONTAINER_ADDRESS}/24 dev inner",
        "-n container link set inner up",
        "-n container route add default via 172.31.255.1",
    ):
        subprocess.run(["ip", *command.split()], check=True)
    relay = [*SETTINGS["relay"], address, port, CONTAINER_ADDRESS, inner]
    subprocess.Popen(relay, env={**os.environ, **SETTINGS["environment"]})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
