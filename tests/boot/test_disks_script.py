"""What becomes of the instance's own disks: the script, with programs that write down how they were called."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from sdfleet_cdk import boot

_INSTANCE_STORE = "Amazon EC2 NVMe Instance Storage"
_EBS = "Amazon Elastic Block Store"


@dataclass
class Machine:
    """`disks`: path and model of each, as lsblk shows them."""

    directory: Path
    disks: tuple[str, ...] = ()
    #: Where something is mounted already.
    mounted: tuple[str, ...] = ()
    has_file_system: bool = False

    def run(self) -> list[str]:
        programs = self.directory / "bin"
        programs.mkdir()
        called = self.directory / "called"
        called.touch()
        answers = {
            "lsblk": "".join(f"echo '{disk}'\n" for disk in self.disks),
            "blkid": f"exit {0 if self.has_file_system else 2}",
            "mountpoint": f'case " {" ".join(self.mounted)} " in *" $2 "*) exit 0;; esac; exit 1',
            "mdadm": "", "mkfs.xfs": "", "mount": "", "chown": "", "systemctl": "",
            # Whose user is on no machine of ours; the directories are all that is looked at.
            "install": f'eval "last=\\${{$#}}"; mkdir -p "$last" "{self.directory}/lib/models"'
            f' "{self.directory}/lib/scratch"',
        }  # fmt: skip
        for name, body in answers.items():
            text = f'#!/bin/bash\necho "{name} $*" >>{called}\n{body}\n'
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        (self.directory / "instance.env").write_text(f"SCHEDULER_UID={boot.SCHEDULER_UID}\nDATA_VOLUME=\n")
        for name in ("boot.sh", "disks.sh"):
            text = (boot.FILES / name).read_text()
            for there, here in (
                ("/usr/local/lib/sdfleet/", ""), ("/etc/sdfleet/", ""), ("/run/sdfleet", "run"),
                ("/var/lib/sdfleet", "lib"), ("/opt/dlami/nvme/sdfleet", "dlami/sdfleet"),
            ):  # fmt: skip
                text = text.replace(there, f"{self.directory}/{here}")
            (self.directory / name).write_text(text)
        ran = subprocess.run(
            ["bash", str(self.directory / "disks.sh")],
            env={"PATH": f"{programs}:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        marks = (self.directory / "run/marks").read_text().splitlines()
        assert [line.split()[:2] for line in marks] == [["disks", "begin"], ["disks", "end"]]
        lines = called.read_text().splitlines()
        return [line for line in lines if line.split()[0] in ("mdadm", "mkfs.xfs", "mount")]


def test_one_disk_is_a_file_system_by_itself(tmp_path: Path) -> None:
    called = Machine(tmp_path, (f"/dev/nvme0n1 {_EBS}", f"/dev/nvme1n1 {_INSTANCE_STORE}")).run()
    assert called == ["mkfs.xfs -q -K /dev/nvme1n1", f"mount -o noatime,nodiratime /dev/nvme1n1 {tmp_path}/lib"]


def test_several_disks_are_striped(tmp_path: Path) -> None:
    disks = (f"/dev/nvme1n1 {_INSTANCE_STORE}", f"/dev/nvme2n1 {_INSTANCE_STORE}")
    called = Machine(tmp_path, disks).run()
    assert called[0] == (
        "mdadm --create /dev/md/sdfleet --run --force --homehost=any --level=0 --raid-devices=2"
        " /dev/nvme1n1 /dev/nvme2n1"
    )
    assert called[1:] == [
        "mkfs.xfs -q -K /dev/md/sdfleet",
        f"mount -o noatime,nodiratime /dev/md/sdfleet {tmp_path}/lib",
    ]


def test_a_file_system_that_is_there_is_kept_over_a_reboot(tmp_path: Path) -> None:
    called = Machine(tmp_path, (f"/dev/nvme1n1 {_INSTANCE_STORE}",), has_file_system=True).run()
    assert called == [f"mount -o noatime,nodiratime /dev/nvme1n1 {tmp_path}/lib"]


def test_what_the_stock_ami_has_mounted_is_used(tmp_path: Path) -> None:
    called = Machine(tmp_path, (f"/dev/nvme1n1 {_INSTANCE_STORE}",), mounted=("/opt/dlami/nvme",)).run()
    assert called == [f"mount --bind {tmp_path}/dlami/sdfleet {tmp_path}/lib"]


@pytest.mark.parametrize("disks", [(), (f"/dev/nvme0n1 {_EBS}",)])
def test_without_disks_of_its_own_the_root_volume_serves(tmp_path: Path, disks: tuple[str, ...]) -> None:
    assert Machine(tmp_path, disks).run() == []
