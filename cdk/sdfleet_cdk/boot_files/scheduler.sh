#!/bin/bash
# The api-scheduler's container: trusted, on the host's network, without any privilege.
set -euo pipefail
# shellcheck source=cdk/sdfleet_cdk/boot_files/boot.sh
source /usr/local/lib/sdfleet/boot.sh

mark scheduler_image begin
image=$(/usr/local/lib/sdfleet/pull.sh sdfleet-scheduler-image)
docker rm --force sdfleet-scheduler >/dev/null 2>&1 || true
mark scheduler_image end
mark scheduler begin
exec docker run --rm --name sdfleet-scheduler --network host \
  --read-only --user "$SCHEDULER_UID:$SCHEDULER_UID" --cap-drop ALL --security-opt no-new-privileges \
  --env-file /etc/sdfleet/scheduler.env \
  --env TMPDIR=/var/lib/sdfleet/scratch \
  --volume /var/lib/sdfleet/scratch:/var/lib/sdfleet/scratch \
  --volume /var/lib/sdfleet/models:/var/lib/sdfleet/models \
  --volume /run/sdfleet:/run/sdfleet \
  --log-driver awslogs --log-opt "awslogs-region=$AWS_REGION" --log-opt "awslogs-group=$LOG_GROUP" \
  --log-opt "awslogs-stream=$(metadata instance-id)/scheduler" --log-opt mode=non-blocking \
  "$image"
