#!/bin/bash
# Waits for the boot's end. One that failed is reported with its reason and its log, and the instance given up.
set -euo pipefail
# shellcheck source=cdk/sdfleet_cdk/boot_files/boot.sh
source /usr/local/lib/sdfleet/boot.sh

while [[ ! -e $boot/completed && ! -e $boot/failed ]]; do
  if ((SECONDS > BOOT_PATIENCE_S)); then
    fail "Not ready after $BOOT_PATIENCE_S s: $(curl -s -m 5 http://127.0.0.1:8000/readyz || echo 'no scheduler')"
  fi
  sleep 0.5
done
if [[ -e $boot/failed ]]; then
  # Let what failed write its last words.
  sleep 1
  exec /usr/local/lib/sdfleet/give-up.sh
fi
