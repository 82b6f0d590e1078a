#!/bin/bash
# The boot has failed. Saves the log, tells event and metric, counts it, and has the group end the instance: in this
# order, for the last step ends all others.
set -euo pipefail
# shellcheck source=cdk/sdfleet_cdk/boot_files/boot.sh
source /usr/local/lib/sdfleet/boot.sh

reason=$(head -c 1000 "$boot/failed")
instance_id=$(metadata instance-id)
release=$(metadata tags/instance/sdfleet-release || echo unreleased)
# A credential that is not there yet, a moment without network: tried again, but not for ever.
try() {
  local pause
  for pause in 1 2 5 0; do
    if "$@"; then return; fi
    sleep "$pause"
  done
  return 1
}
journal=$(journalctl --no-pager -o short-iso -n 400 -u 'sdfleet-*' -u docker.service | tail -c 120000)
# A file: an argument has 128 KiB at most.
events=/run/sdfleet-boot-events.json
REASON=$reason RELEASE=$release INSTANCE=$instance_id FLEET=$GROUP_NAME python3 -c '
import json, os, sys, time
now = int(time.time() * 1000)
# It was cut off anywhere.
log = sys.stdin.buffer.read().decode(errors="replace")
metric = {"Namespace": "sdfleet", "Dimensions": [["Fleet"]], "Metrics": [{"Name": "BootsFailed", "Unit": "Count"}]}
event = {
    "event": "boot.failed", "level": "ERROR", "reason": os.environ["REASON"], "release": os.environ["RELEASE"],
    "instance_id": os.environ["INSTANCE"], "_aws": {"Timestamp": now, "CloudWatchMetrics": [metric]},
    "Fleet": os.environ["FLEET"], "BootsFailed": 1,
}
print(json.dumps([{"timestamp": now, "message": one} for one in (log or "-", json.dumps(event))]))
' <<<"$journal" >"$events"
save_log() {
  local stream="$instance_id/boot"
  aws logs create-log-stream --region "$AWS_REGION" --log-group-name "$LOG_GROUP" --log-stream-name "$stream" \
    2>/dev/null || true
  aws logs put-log-events --region "$AWS_REGION" --log-group-name "$LOG_GROUP" --log-stream-name "$stream" \
    --log-events "file://$events" >/dev/null
}
# As the scheduler does it (sdfleet/aws/boot_table.py); of one instance only the first counts.
count() {
  local values complaint
  values=$(REASON=$reason INSTANCE=$instance_id python3 -c '
import datetime, json, os, time
now = datetime.datetime.now(datetime.timezone.utc).isoformat()
print(json.dumps({
    ":one": {"N": "1"}, ":at": {"S": now}, ":reason": {"S": os.environ["REASON"]},
    ":instance": {"S": os.environ["INSTANCE"]}, ":ttl": {"N": str(int(time.time()) + 30 * 86400)},
}))')
  complaint=$(aws dynamodb update-item --region "$AWS_REGION" --table-name "$TABLE_NAME" \
    --key "{\"pk\": {\"S\": \"boots/$RUNTIME/$release\"}}" \
    --update-expression 'SET failed_at = :at, reason = :reason, instance_id = :instance, #ttl = :ttl ADD failures :one' \
    --condition-expression 'attribute_not_exists(instance_id) OR instance_id <> :instance' \
    --expression-attribute-names '{"#ttl": "ttl"}' --expression-attribute-values "$values" 2>&1 >/dev/null) ||
    [[ $complaint == *ConditionalCheckFailed* ]] || { echo "$complaint" >&2 && return 1; }
}
abandon() {
  aws autoscaling complete-lifecycle-action --region "$AWS_REGION" --auto-scaling-group-name "$GROUP_NAME" \
    --lifecycle-hook-name "$LAUNCH_HOOK" --instance-id "$instance_id" --lifecycle-action-result ABANDON ||
    # No hook waits any more, or it was a reboot: the group's health check takes it out.
    aws autoscaling set-instance-health --region "$AWS_REGION" --instance-id "$instance_id" --health-status Unhealthy
}
try save_log || echo "sdfleet: the log cannot be saved" >&2
try count || echo "sdfleet: the failure cannot be counted" >&2
try abandon
