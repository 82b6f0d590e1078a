#!/bin/bash
# Starts the CloudWatch agent, where the AMI has it (AWS's GPU AMI has), with this instance's own release.
set -euo pipefail
# shellcheck source=cdk/sdfleet_cdk/boot_files/boot.sh
source /usr/local/lib/sdfleet/boot.sh
agent=/opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl
settings=/etc/sdfleet/cloudwatch-agent.json
if [[ -x "$agent" ]] && { command -v nvidia-smi >/dev/null || ! grep -q nvidia_gpu "$settings"; }; then
  release=$(metadata tags/instance/sdfleet-release)
  sed "s|@RELEASE@|${release:-unreleased}|g" "$settings" >/run/sdfleet-cloudwatch-agent.json
  "$agent" -a fetch-config -m ec2 -s -c file:/run/sdfleet-cloudwatch-agent.json
fi
