#!/bin/sh
# Puts a local deployment through a storm of faults and accounts for every task; makes .venv on the first run.
set -eu
SDFLEET_ROOT=$(cd "$(dirname "$0")/.." && pwd -P)
export SDFLEET_ROOT
"$SDFLEET_ROOT/scripts/bootstrap.sh"
exec "$SDFLEET_ROOT/.venv/bin/python" -m sdfleet_cli.main chaos "$@"
