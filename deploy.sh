#!/bin/sh
# Deploys the service: ./deploy.sh --local for all of it on this machine, -h for the options.
exec "$(dirname "$0")/scripts/deploy.sh" "$@"
