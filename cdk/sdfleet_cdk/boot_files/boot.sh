# shellcheck shell=bash
# What all boot scripts share. Sourced.
# shellcheck source=/dev/null
source /etc/sdfleet/instance.env
# Where scripts and scheduler tell each other how the boot goes: marks, failed, completed. Gone with a reboot.
boot=/run/sdfleet

# The instance metadata service, version 2.
metadata() {
  local token
  token=$(curl -sf --retry 5 --retry-connrefused -m 2 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 300' \
    http://169.254.169.254/latest/api/token) || return 1
  curl -sf --retry 5 -m 2 -H "X-aws-ec2-metadata-token: $token" "http://169.254.169.254/latest/meta-data/$1"
}
# mark PHASE begin|end: a line of the boot's timeline, which the scheduler reads.
mark() {
  make_boot
  echo "$1 $2 $(date +%s.%3N)" >>"$boot/marks"
}
# The boot has failed; the first reason counts. After it has come to its end, whatever happens is no boot's.
fail() {
  echo "sdfleet: $1" >&2
  make_boot
  if [[ ! -e $boot/completed ]]; then
    (set -o noclobber && echo "$1" >"$boot/failed") 2>/dev/null || true
  fi
}
make_boot() {
  # The scheduler is no root, and asks here for a new start of the runtime, too.
  [[ -d $boot ]] || install -d -o "$SCHEDULER_UID" -g "$SCHEDULER_UID" -m 0755 "$boot"
}
