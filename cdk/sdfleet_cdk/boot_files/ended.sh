#!/bin/bash
# A container of ours has ended: ended.sh NAME. Once or twice may be a mishap; more, while the instance boots, is not.
set -euo pipefail
# shellcheck source=cdk/sdfleet_cdk/boot_files/boot.sh
source /usr/local/lib/sdfleet/boot.sh

# systemd tells the others in these: a stop that was asked for is no end of its own.
if [[ -e $boot/completed || ${SERVICE_RESULT:-} == success ]]; then
  exit 0
fi
make_boot
echo "${EXIT_STATUS:-unknown}" >>"$boot/ended-$1"
if (($(wc -l <"$boot/ended-$1") >= 3)); then
  fail "The $1's container has ended three times during the boot, at last with status ${EXIT_STATUS:-unknown}."
fi
