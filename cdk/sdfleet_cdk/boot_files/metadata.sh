# shellcheck shell=bash
# The instance metadata service, version 2. Sourced.
metadata() {
  local token
  token=$(curl -sf --retry 5 --retry-connrefused -m 2 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 300' \
    http://169.254.169.254/latest/api/token) || return 1
  curl -sf --retry 5 -m 2 -H "X-aws-ec2-metadata-token: $token" "http://169.254.169.254/latest/meta-data/$1"
}
