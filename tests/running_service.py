"""A local deployment for tests: made by the real command, in a directory of its own, on free ports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx

from sdfleet_local.deployment import LocalDeployment

T = TypeVar("T")

#: A start on two busy cores; an idle machine needs a third.
COMMAND_TIMEOUT_S = 90


def run_command(root: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`sdfleet arguments` for the checkout `root`."""
    return subprocess.run(
        [sys.executable, "-m", "sdfleet_cli.main", *arguments],
        env={**os.environ, "SDFLEET_ROOT": str(root), **environment},
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT_S,
        check=False,
    )


def eventually(probe: Callable[[], T | None], *, within_s: float = 30.0) -> T:
    """The first thing that `probe` returns and that is not None or False."""
    end = time.monotonic() + within_s
    while True:
        found = probe()
        if found:
            return found
        assert time.monotonic() < end, f"nothing came within {within_s} s"
        time.sleep(0.1)


@dataclass
class RunningService:
    """A deployment that runs, and short ways to what a client of it does."""

    root: Path
    outputs: dict[str, str]
    http: httpx.Client = field(repr=False)
    aws: httpx.Client = field(repr=False)

    @classmethod
    def start(cls, root: Path, *arguments: str) -> RunningService:
        result = run_command(root, "deploy", "--local", "--port", "0", *arguments)
        assert result.returncode == 0, result.stderr + result.stdout
        outputs = json.loads((root / ".sdfleet" / "local" / "outputs.json").read_text())
        headers = {"x-api-key": outputs["ApiKey"]}
        client = httpx.Client(base_url=outputs["FrontApiEndpoint"], headers=headers, timeout=30.0, trust_env=False)
        aws = httpx.Client(base_url=outputs["AwsEndpointUrl"], timeout=30.0, trust_env=False)
        return cls(root, outputs, client, aws)

    def stop(self) -> None:
        self.http.close()
        self.aws.close()
        run_command(self.root, "destroy", "--local")

    @property
    def endpoint(self) -> str:
        """With its trailing slash."""
        return self.outputs["FrontApiEndpoint"]

    @property
    def api_key(self) -> str:
        return self.outputs["ApiKey"]

    def request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """Sent again as often as the service asks for it: the limits hold for tests too."""
        while True:
            answer = self.http.request(method, path, **arguments)
            if answer.status_code != httpx.codes.TOO_MANY_REQUESTS:
                return answer
            time.sleep(int(answer.headers["Retry-After"]))

    def submit(
        self, *, wait_s: int | None = None, content: dict[str, Any] | None = None, **metadata: Any
    ) -> httpx.Response:
        """A text-to-image task of v1alpha2."""
        metadata = {"id": new_id(), "runtime": "sdruntime", "tasktype": "text-to-image", **metadata}
        body = {"task": {"metadata": metadata, "content": content or {"prompt": "A dog", "width": 64, "height": 64}}}
        headers = {"Prefer": f"wait={wait_s}"} if wait_s is not None else {}
        return self.request("POST", "v1alpha2", json=body, headers=headers)

    def task(self, task_id: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.request("GET", f"v1alpha2/tasks/{task_id}").json()
        return answer

    def ended(self, task_id: str, *, within_s: float = 60.0) -> dict[str, Any]:
        """The task once it has ended."""

        def look() -> dict[str, Any] | None:
            task = self.task(task_id)
            return task if task["status"] in ("succeeded", "failed", "cancelled") else None

        return eventually(look, within_s=within_s)

    def instances(self) -> list[dict[str, Any]]:
        """What `sdfleet local instances` prints."""
        return LocalDeployment(self.root).control().instances()

    def instances_in_service(self) -> list[dict[str, Any]]:
        return [instance for instance in self.instances() if instance["state"] == "InService"]

    def logs(self) -> str:
        return "".join(file.read_text() for file in (self.root / ".sdfleet" / "local" / "logs").glob("*.log"))

    # The endpoint takes any credentials, so a client without a signature's arithmetic will do.

    def sqs(self, action: str, **parameters: Any) -> dict[str, Any]:
        answer = self._aws("sqs", headers=_json_call(f"AmazonSQS.{action}"), json=parameters)
        return dict(answer.json()) if answer.content else {}

    def sns(self, action: str, **parameters: str) -> str:
        """The answer's XML. Structures are written flat: `Attributes.entry.1.key`."""
        return self._aws("sns", data={"Action": action, "Version": "2010-03-31", **parameters}).text

    def autoscaling(self, action: str, **parameters: str) -> httpx.Response:
        """Whatever it answers."""
        body = {"Action": action, "Version": "2011-01-01", **parameters}
        return self.aws.post("/", data=body, headers=self._signed("autoscaling"))

    def ssm(self, name: str) -> str:
        answer = self._aws("ssm", headers=_json_call("AmazonSSM.GetParameter"), json={"Name": name})
        return str(answer.json()["Parameter"]["Value"])

    def object_at(self, url: str) -> bytes:
        """What lies at an `s3://` URL."""
        return self._aws("s3", "GET", f"/{url.removeprefix('s3://')}").content

    def objects_below(self, bucket: str, prefix: str) -> list[str]:
        """Keys."""
        text = self._aws("s3", "GET", f"/{bucket}", params={"list-type": "2", "prefix": prefix}).text
        return [part.split("</Key>")[0] for part in text.split("<Key>")[1:]]

    def notices(self) -> Notices:
        """What is published on the result topic from now on."""
        queue_url = self.sqs("CreateQueue", QueueName=f"notices-{uuid.uuid4().hex}")["QueueUrl"]
        arn = self.sqs("GetQueueAttributes", QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        self.sns("Subscribe", TopicArn=self.outputs["sdNotificationOutputArn"], Protocol="sqs", Endpoint=arn)
        return Notices(self, queue_url)

    def _aws(
        self, name: str, method: str = "POST", path: str = "/", *, headers: dict[str, str] | None = None, **request: Any
    ) -> httpx.Response:
        answer = self.aws.request(method, path, headers={**self._signed(name), **(headers or {})}, **request)
        assert answer.is_success, answer.text
        return answer

    def _signed(self, name: str) -> dict[str, str]:
        scope = f"any/20260101/{self.outputs['AwsRegion']}/{name}/aws4_request"
        return {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=none"}


@dataclass
class Notices:
    service: RunningService
    queue_url: str
    received: list[dict[str, Any]] = field(default_factory=list)

    def until(
        self, is_enough: Callable[[list[dict[str, Any]]], bool], *, within_s: float = 60.0
    ) -> list[dict[str, Any]]:
        """All that came, once it is enough."""

        def look() -> bool:
            answer = self.service.sqs(
                "ReceiveMessage", QueueUrl=self.queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=1
            )
            for message in answer.get("Messages", ()):
                self.received.append(json.loads(json.loads(message["Body"])["Message"]))
                self.service.sqs("DeleteMessage", QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])
            return is_enough(self.received)

        eventually(look, within_s=within_s)
        return self.received

    def of(self, task_id: str, *, within_s: float = 60.0) -> dict[str, Any]:
        """The first notice of the task."""
        found = self.until(lambda notices: any(one.get("id") == task_id for one in notices), within_s=within_s)
        return next(one for one in found if one.get("id") == task_id)


def _json_call(target: str) -> dict[str, str]:
    return {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"}


def new_id() -> str:
    return f"test-{uuid.uuid4().hex[:12]}"
