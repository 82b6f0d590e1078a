#!/bin/bash
# The runtime's container: not trusted. A bridge of its own, published on loopback only; models to read.
set -euo pipefail
# shellcheck source=cdk/sdfleet_cdk/boot_files/boot.sh
source /usr/local/lib/sdfleet/boot.sh

mark runtime_image begin
image=$(/usr/local/lib/sdfleet/pull.sh sdfleet-runtime-image)
docker rm --force sdfleet-runtime >/dev/null 2>&1 || true
mark runtime_image end
gpus=()
if command -v nvidia-smi >/dev/null; then
  gpus=(--gpus all)
fi
mapfile -t arguments </etc/sdfleet/runtime-arguments
mark runtime begin
exec docker run --rm --name sdfleet-runtime --network sdfleet --publish "127.0.0.1:$RUNTIME_PORT:$RUNTIME_PORT" \
  --cap-drop NET_RAW --security-opt no-new-privileges --shm-size 1g "${gpus[@]}" \
  --env-file /etc/sdfleet/runtime.env \
  --env SDFLEET_MODELS=/var/lib/sdfleet/models --env "SDFLEET_PORT=$RUNTIME_PORT" --env "SDFLEET_WAIT_FOR=$WAIT_FOR" \
  --volume /var/lib/sdfleet/models:/var/lib/sdfleet/models:ro \
  --volume /var/lib/sdfleet/scratch:/var/lib/sdfleet/scratch \
  --log-driver awslogs --log-opt "awslogs-region=$AWS_REGION" --log-opt "awslogs-group=$LOG_GROUP" \
  --log-opt "awslogs-stream=$(metadata instance-id)/runtime" --log-opt mode=non-blocking \
  "$image" "${arguments[@]}"
