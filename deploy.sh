#!/bin/sh
# Deploys the service: to an AWS account, or with --local on this machine; -h for the options.
exec "$(dirname "$0")/scripts/deploy.sh" "$@"
