"""Tells CloudFormation the public key that the CDN checks links with.

Events and answers: CloudFormation User Guide, "Custom resource request types" and "response objects".
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping
from typing import Any

from sdfleet.aws.clients import Clients
from sdfleet.aws.signed_links import link_public_key
from sdfleet.telemetry import logs

log = logs.get_logger(__name__)

#: The answer goes to S3 in the same region.
_ANSWER_TIMEOUT_S = 10


def handler(event: Mapping[str, Any], _context: Any) -> None:
    """Lambda's entry point: a custom resource."""
    logs.configure()
    send(event, answer(event, Clients()))


def answer(event: Mapping[str, Any], clients: Clients) -> dict[str, Any]:
    """Never raises: without an answer the stack would wait for one."""
    key_pair_id = str(event["ResourceProperties"]["KeyPairId"])
    told: dict[str, Any] = {
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
        # Another pair is another resource.
        "PhysicalResourceId": key_pair_id,
    }
    if event["RequestType"] == "Delete":
        return {**told, "Status": "SUCCESS"}
    try:
        return {**told, "Status": "SUCCESS", "Data": {"PublicKey": link_public_key(clients.ec2, key_pair_id)}}
    except Exception as error:  # the supervisor of the answer
        log.exception("link_key.unreadable")
        return {**told, "Status": "FAILED", "Reason": f"The public key of {key_pair_id} cannot be read: {error}"}


def send(event: Mapping[str, Any], told: Mapping[str, Any]) -> None:
    """Put the answer where the event says."""
    request = urllib.request.Request(  # noqa: S310  CloudFormation's own address
        str(event["ResponseURL"]), data=json.dumps(told).encode(), method="PUT", headers={"Content-Type": ""}
    )
    with urllib.request.urlopen(request, timeout=_ANSWER_TIMEOUT_S):  # noqa: S310
        log.info("link_key.answered", status=str(told["Status"]))
