#!/bin/sh
# Makes .venv with everything the project needs; quick when it is there already.
set -eu
case "${1:-}" in -h | --help) echo "Usage: bootstrap.sh: makes .venv; quick when it is there already." && exit 0 ;; esac
scripts=$(cd "$(dirname "$0")" && pwd -P)
for python in "${PYTHON:-python3}" python3.14 python3.13 python3.12 python3.11; do
    if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        exec "$python" "$scripts/sdfleet_cli/bootstrap.py"
    fi
done
echo "Error: Python 3.11 or later is needed; install it, or name it with PYTHON=/path/to/python3." >&2
exit 1
