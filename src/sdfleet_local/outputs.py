"""The outputs of a local deployment: the names of the cloud's stack outputs, and how to reach it (wire contract)."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from sdfleet.domain import names
from sdfleet.environment import DeploymentEnvironment
from sdfleet_local.plan import REGION


def outputs_of(
    deployment: DeploymentEnvironment, *, api_port: int, api_key: str, endpoint_url: str, outputs_file: Path
) -> dict[str, str]:
    outputs = {
        "FrontApiEndpoint": f"http://127.0.0.1:{api_port}/",
        "GetAPIKeyCommand": f'sed -n \'s/^ *"ApiKey": "\\(.*\\)",*$/\\1/p\' {shlex.quote(str(outputs_file))}',
        "sdNotificationLambdaARN": deployment.request_topic_arn,
        "sdNotificationOutputArn": deployment.result_topic_arn,
        "OutputBucket": deployment.output_bucket,
        # There is no CDN on one machine: links in answers lead to the bucket itself.
        "CloudFrontDomain": "",
    }
    for runtime in deployment.runtimes:
        prefix = names.camel_case(runtime.name)
        outputs[f"{prefix}QueueUrl"] = runtime.queue_url
        outputs[f"{prefix}AutoScalingGroupName"] = names.fleet_name(deployment.deployment_id, runtime.name)
    return {**outputs, "ApiKey": api_key, "AwsEndpointUrl": endpoint_url, "AwsRegion": REGION}


def curl_line(outputs: dict[str, str], runtime: str, *, is_workflow: bool) -> str:
    """A command to paste that makes a picture."""
    if is_workflow:
        metadata = {"runtime": runtime, "tasktype": "pipeline"}
        # Needs no model on a ComfyUI: a grey square.
        content: dict[str, object] = {
            "1": {
                "class_type": "EmptyImage",
                "inputs": {"width": 512, "height": 512, "batch_size": 1, "color": 8421504},
            },
            "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "first"}},
        }
    else:
        metadata = {"runtime": runtime, "tasktype": "text-to-image"}
        content = {"prompt": "A dog", "steps": 16, "width": 512, "height": 512}
    body = json.dumps({"task": {"metadata": metadata, "content": content}})
    return (
        f"curl -s {outputs['FrontApiEndpoint']}v1alpha2 -H 'x-api-key: {outputs['ApiKey']}'"
        f" -H 'Content-Type: application/json' -H 'Prefer: wait=20' -d {shlex.quote(body)}"
    )
