#!/bin/bash
# Makes sure that a container image of this instance's release is here: pull.sh TAG prints its reference.
set -euo pipefail
# shellcheck source=cdk/sdfleet_cdk/boot_files/boot.sh
source /usr/local/lib/sdfleet/boot.sh

for tag in sdfleet-release "$1"; do
  if ! image=$(metadata "tags/instance/$tag"); then
    fail "The instance has no tag $tag, which its launch template's version gives it."
    exit 1
  fi
done
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
    if complaint=$(docker pull --quiet "$image" 2>&1 >/dev/null); then
      break
    fi
    echo "$complaint" >&2
    if ((pause == 0)); then
      fail "$image cannot be pulled: $(tail -n 1 <<<"$complaint")"
      exit 1
    fi
    sleep "$pause"
  done
fi
echo "$image"
