#!/bin/sh
# Sets up what it needs, runs the gates, then the whole test suite; arguments go to pytest.
set -eu
case "${1:-}" in -h | --help) echo "Usage: test.sh [PYTEST ARGUMENT...]: sets up, runs the gates and the tests." && exit 0 ;; esac
SDFLEET_ROOT=$(cd "$(dirname "$0")/.." && pwd -P)
export SDFLEET_ROOT
"$SDFLEET_ROOT/scripts/bootstrap.sh"
cd "$SDFLEET_ROOT"
exec "$SDFLEET_ROOT/.venv/bin/python" -m sdfleet_cli.gates "$@"
