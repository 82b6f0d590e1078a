#!/bin/bash
# GPU utilisation and memory, where the AMI has the CloudWatch agent (AWS's GPU AMI has).
set -euo pipefail
agent=/opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl
if [[ -x "$agent" ]] && command -v nvidia-smi >/dev/null; then
  "$agent" -a fetch-config -m ec2 -s -c file:/etc/sdfleet/cloudwatch-agent.json
fi
