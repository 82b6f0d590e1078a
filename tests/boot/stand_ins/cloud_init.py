#!/usr/bin/python3
"""Stands in for two stages of cloud-init: `init` writes the files of user data, `final` runs its commands."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path


def main(stage: str) -> None:
    header, _, document = Path("/etc/user-data").read_text().partition("\n")
    assert header == "#cloud-config"
    # JSON is YAML, and this Python has no other reader.
    keys = json.loads(document)
    if stage == "init":
        for file in keys["write_files"]:
            path = Path(file["path"])
            path.parent.mkdir(parents=True, exist_ok=True)
            content = file["content"]
            path.write_bytes(base64.b64decode(content) if file.get("encoding") == "b64" else content.encode())
            path.chmod(int(file["permissions"], 8))
    else:
        for command in keys["runcmd"]:
            subprocess.run(command, check=False)


if __name__ == "__main__":
    main(sys.argv[1])
