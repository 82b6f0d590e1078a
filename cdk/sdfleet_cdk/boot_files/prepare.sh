#!/bin/bash
# Disks and the runtime's network. Repeatable: it runs at every boot.
set -euo pipefail
# shellcheck source=/dev/null
source /etc/sdfleet/instance.env

root=/var/lib/sdfleet
mkdir -p "$root"
# The GPU AMI has the instance's own NVMe there; models are read from it at several times an EBS volume's speed.
if mountpoint -q /opt/dlami/nvme && ! mountpoint -q "$root"; then
  mkdir -p /opt/dlami/nvme/sdfleet
  mount --bind /opt/dlami/nvme/sdfleet "$root"
fi
install -d -o "$SCHEDULER_UID" -g "$SCHEDULER_UID" -m 0755 "$root/models" "$root/scratch"
# Where the scheduler asks for a new start of the runtime: it is no root and has no other way to.
install -d -o "$SCHEDULER_UID" -g "$SCHEDULER_UID" -m 0755 /run/sdfleet

# A volume made from a snapshot: container images on it, as docker keeps them, need not be pulled.
if [[ -n "$DATA_VOLUME" && -b "$DATA_VOLUME" ]] && ! mountpoint -q /mnt/sdfleet; then
  mkdir -p /mnt/sdfleet
  if mount -o noatime "$DATA_VOLUME" /mnt/sdfleet && [[ -d /mnt/sdfleet/docker ]]; then
    systemctl stop docker.service docker.socket
    mount --bind /mnt/sdfleet/docker /var/lib/docker
  fi
fi
systemctl start docker.service

if ! docker network inspect sdfleet >/dev/null 2>&1; then
  docker network create --driver bridge --opt com.docker.network.bridge.name=sdfleet0 sdfleet >/dev/null
fi
# The runtime runs code of strangers: no way to the instance's credentials, nor to what listens on this machine.
once() {
  iptables -C "$@" 2>/dev/null || iptables -I "$@"
}
once DOCKER-USER -i sdfleet0 -d 169.254.0.0/16 -j DROP
once INPUT -i sdfleet0 -m conntrack --ctstate NEW -j DROP
