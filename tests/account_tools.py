"""What the stand-ins for `cdk`, `docker` and `skopeo` do: they record how they are called, and answer.

Standard library only: they are started often.
"""

from __future__ import annotations

import json
import os
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

_AUTHORIZATION = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/{}/aws4_request, SignedHeaders=host, Signature=x"


def main(tool: str, arguments: list[str], directory: Path) -> int:
    with (directory / f"{tool}.calls").open("a") as file:
        file.write(json.dumps(arguments) + "\n")
    for word in arguments:
        marker = directory / f"fail-{tool}-{urllib.parse.quote(word, safe='')}"
        if marker.exists():
            marker.unlink()
            print(f"{tool}: {word} was told to fail")  # noqa: T201
            return 1
    if (directory / f"hang-{tool}").exists() and arguments[0] != "info":
        print("waiting", flush=True)  # noqa: T201
        time.sleep(60)
    if tool == "cdk":
        return _cdk(arguments)
    if arguments[0] == "push":
        _put_image(arguments[1])
    elif arguments[0] == "copy":
        _put_image(arguments[-1].removeprefix("docker://"))
    return 0


def _cdk(arguments: list[str]) -> int:
    if arguments[0] == "bootstrap":
        _put_stack("CDKToolkit", {})
        return 0
    name = arguments[1]
    service = os.environ["FAKE_SERVICE_URL"]
    key = os.environ["FAKE_KEY_ID"]
    outputs = {
        "FrontApiEndpoint": f"{service}/prod/",
        "GetAPIKeyCommand": f"aws apigateway get-api-keys --query 'items[?id==`{key}`].value' --include-values",
        "sdNotificationLambdaARN": f"arn:aws:sns:us-east-1:123456789012:{name}-requests",
        "OutputBucket": f"{name}-output-123456789012-us-east-1",
        "SdruntimeAutoScalingGroupName": f"{name}-sdruntime",
    }
    print(f"{name}: creating")  # noqa: T201
    _put_stack(name, {} if name.endswith("-foundation") else outputs)
    return 0


def _put_stack(name: str, outputs: dict[str, str]) -> None:
    template = {
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": f"{name}-topic"}}},
        "Outputs": {key: {"Value": value} for key, value in outputs.items()},
    }
    body = {"Version": "2010-05-15", "StackName": name, "TemplateBody": json.dumps(template)}
    try:
        _call("cloudformation", data=urllib.parse.urlencode({"Action": "CreateStack", **body}).encode())
    except urllib.error.HTTPError:
        # It is there already.
        _call("cloudformation", data=urllib.parse.urlencode({"Action": "UpdateStack", **body}).encode())


def _put_image(reference: str) -> None:
    path, _, tag = reference.rpartition(":")
    repository = path.split("/", 1)[1]
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    manifest = {"schemaVersion": 2, "mediaType": kind, "layers": [], "config": {"digest": f"{repository}:{tag}"}}
    _json_call(
        "ecr",
        "AmazonEC2ContainerRegistry_V20150921.PutImage",
        {
            "repositoryName": repository,
            "imageTag": tag,
            "imageManifest": json.dumps(manifest),
            "imageManifestMediaType": kind,
        },
    )


def _json_call(service: str, target: str, body: dict[str, Any]) -> bytes:
    headers = {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"}
    return _call(service, data=json.dumps(body).encode(), headers=headers)


def _call(service: str, *, path: str = "/", data: bytes | None = None, headers: dict[str, str] | None = None) -> bytes:
    request = urllib.request.Request(
        os.environ["AWS_ENDPOINT_URL"] + path,
        data=data,
        headers={"Authorization": _AUTHORIZATION.format(service), **(headers or {})},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=20) as answer:
        content: bytes = answer.read()
    return content
