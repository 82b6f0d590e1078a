#!/bin/sh
# Measures the scheduler, the API and its handlers; bench.sh --help says what.
set -eu
SDFLEET_ROOT=$(cd "$(dirname "$0")/.." && pwd -P)
export SDFLEET_ROOT
"$SDFLEET_ROOT/scripts/bootstrap.sh" >&2
exec "$SDFLEET_ROOT/.venv/bin/python" -m sdfleet_cli.main bench "$@"
