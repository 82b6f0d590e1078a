#!/bin/bash
# The runtime's network. The runtime runs code of strangers: it gets no way to the instance's credentials, nor to what
# listens on this machine.
set -Eeuo pipefail
# shellcheck source=cdk/sdfleet_cdk/boot_files/boot.sh
source /usr/local/lib/sdfleet/boot.sh
trap 'fail "The runtime'"'"'s network cannot be made or closed; see sdfleet-isolation in this stream."' ERR

systemctl start docker.service
if ! docker network inspect sdfleet >/dev/null 2>&1; then
  docker network create --driver bridge --opt com.docker.network.bridge.name=sdfleet0 sdfleet >/dev/null
fi
once() {
  iptables --wait -C "$@" 2>/dev/null || iptables --wait -I "$@"
}
once DOCKER-USER -i sdfleet0 -d 169.254.0.0/16 -j DROP
once INPUT -i sdfleet0 -m conntrack --ctstate NEW -j DROP
