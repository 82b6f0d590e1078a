#!/bin/bash
# The instance's own NVMe as one file system at /var/lib/sdfleet, and the data volume. Repeatable: every boot runs it.
set -Eeuo pipefail
# shellcheck source=cdk/sdfleet_cdk/boot_files/boot.sh
source /usr/local/lib/sdfleet/boot.sh
trap 'fail "The disks cannot be prepared; see sdfleet-disks in this stream."' ERR

root=/var/lib/sdfleet
prepare() {
  mkdir -p "$root"
  if ! mountpoint -q "$root"; then
    if mountpoint -q /opt/dlami/nvme; then
      # AWS's GPU AMI has made a file system of the disks already.
      mkdir -p /opt/dlami/nvme/sdfleet
      mount --bind /opt/dlami/nvme/sdfleet "$root"
    else
      mount_own_disks
    fi
  fi
  install -d -o "$SCHEDULER_UID" -g "$SCHEDULER_UID" -m 0755 "$root/models" "$root/scratch"
  # A disk that is full or broken is found out now, not in the middle of a task.
  head --bytes 1048576 /dev/zero >"$root/scratch/.probe"
  rm "$root/scratch/.probe"
}
# Models are read from them at several times an EBS volume's speed.
mount_own_disks() {
  local disks device
  mapfile -t disks < <(own_disks)
  if ((${#disks[@]} == 0)); then
    return
  elif ((${#disks[@]} == 1)); then
    device=${disks[0]}
  else
    device=/dev/md/sdfleet
    # Nothing on them outlives a stop: striped, none is kept twice.
    [[ -b $device ]] || mdadm --create "$device" --run --force --homehost=any --level=0 \
      --raid-devices="${#disks[@]}" "${disks[@]}"
  fi
  # Without discarding 250 GB of blocks that are empty anyway.
  blkid "$device" >/dev/null || mkfs.xfs -q -K "$device"
  mount -o noatime,nodiratime "$device" "$root"
}
own_disks() {
  lsblk --nodeps --noheadings --output PATH,MODEL | awk '/Amazon EC2 NVMe Instance Storage/ { print $1 }'
}
# A volume made from a snapshot: container images on it, as docker keeps them, need not be pulled.
mount_data_volume() {
  mkdir -p /mnt/sdfleet
  if mount -o noatime "$DATA_VOLUME" /mnt/sdfleet && [[ -d /mnt/sdfleet/docker ]]; then
    systemctl stop docker.service docker.socket
    mount --bind /mnt/sdfleet/docker /var/lib/docker
  fi
}

mark disks begin
prepare
if [[ -n "$DATA_VOLUME" && -b "$DATA_VOLUME" ]] && ! mountpoint -q /mnt/sdfleet; then
  mount_data_volume
fi
mark disks end
