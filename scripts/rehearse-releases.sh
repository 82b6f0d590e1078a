#!/bin/sh
# Rehearses releases under load on a deployment of its own on this machine; makes .venv on the first run.
set -eu
SDFLEET_ROOT=$(cd "$(dirname "$0")/.." && pwd -P)
export SDFLEET_ROOT
"$SDFLEET_ROOT/scripts/bootstrap.sh"
exec "$SDFLEET_ROOT/.venv/bin/python" -m sdfleet_cli.main rehearse-releases "$@"
