#!/bin/sh
# Launches instances of a fleet and measures each phase until the first picture; makes .venv on the first run.
set -eu
SDFLEET_ROOT=$(cd "$(dirname "$0")/.." && pwd -P)
export SDFLEET_ROOT
"$SDFLEET_ROOT/scripts/bootstrap.sh" >&2
exec "$SDFLEET_ROOT/.venv/bin/python" -m sdfleet_cli.main launch-benchmark "$@"
