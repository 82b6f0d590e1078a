#!/bin/bash
# Tells the group how the boot ended: in service once the scheduler says that a task would run now, else replaced.
set -euo pipefail
# shellcheck source=cdk/sdfleet_cdk/boot_files/metadata.sh
source /usr/local/lib/sdfleet/metadata.sh
# shellcheck source=/dev/null
source /etc/sdfleet/instance.env

instance_id=$(metadata instance-id)
complete() {
  aws autoscaling complete-lifecycle-action --region "$AWS_REGION" --auto-scaling-group-name "$GROUP_NAME" \
    --lifecycle-hook-name "$LAUNCH_HOOK" --instance-id "$instance_id" --lifecycle-action-result "$1"
}
# The log outlives the instance.
tell() {
  local stream="$instance_id/boot" event
  event=$(tail -c 60000 | python3 -c \
    'import json, sys, time; print(json.dumps([{"timestamp": int(time.time() * 1000), "message": sys.stdin.read()}]))')
  aws logs create-log-stream --region "$AWS_REGION" --log-group-name "$LOG_GROUP" --log-stream-name "$stream" || true
  aws logs put-log-events --region "$AWS_REGION" --log-group-name "$LOG_GROUP" --log-stream-name "$stream" \
    --log-events "$event" >/dev/null || true
}
while ! curl -sf -m 2 -o /dev/null http://127.0.0.1:8000/readyz; do
  if (($(cut -d. -f1 /proc/uptime) > BOOT_PATIENCE_S)); then
    {
      echo "sdfleet: not ready after $BOOT_PATIENCE_S s"
      journalctl --no-pager -o cat -n 100 -u sdfleet-prepare -u sdfleet-scheduler -u sdfleet-runtime
    } | tell
    complete ABANDON
    exit 1
  fi
  sleep 1
done
# After a reboot, or where the group has waited too long, there is nothing to complete.
complete CONTINUE || echo "sdfleet: no launch hook is waiting" >&2
