#!/bin/sh
# Removes the service: from an AWS account, or with --local from this machine; -h for the options.
exec "$(dirname "$0")/scripts/destroy.sh" "$@"
