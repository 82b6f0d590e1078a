#!/bin/sh
# Removes the service: ./destroy.sh --local stops what runs on this machine and leaves nothing behind.
exec "$(dirname "$0")/scripts/destroy.sh" "$@"
