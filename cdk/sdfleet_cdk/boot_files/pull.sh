#!/bin/bash
# Makes sure that a container image of this instance's release is here: pull.sh TAG prints its reference.
set -euo pipefail
# shellcheck source=cdk/sdfleet_cdk/boot_files/metadata.sh
source /usr/local/lib/sdfleet/metadata.sh
# shellcheck source=/dev/null
source /etc/sdfleet/instance.env

image=$(metadata "tags/instance/$1")
if ! docker image inspect "$image" >/dev/null 2>&1; then
  registry=${image%%/*}
  # Not in root's home: the token must not stay on the disk.
  export DOCKER_CONFIG=/run/sdfleet-docker
  install -d -m 0700 "$DOCKER_CONFIG"
  for pause in 1 2 5 10 30 0; do
    if [[ "$registry" == *.dkr.ecr.*.amazonaws.com* ]]; then
      aws ecr get-login-password --region "$(cut -d. -f4 <<<"$registry")" |
        docker login --username AWS --password-stdin "$registry" >/dev/null 2>&1 || true
    fi
    if docker pull --quiet "$image" >/dev/null; then
      break
    fi
    if ((pause == 0)); then
      echo "$image cannot be pulled" >&2
      exit 1
    fi
    sleep "$pause"
  done
fi
echo "$image"
