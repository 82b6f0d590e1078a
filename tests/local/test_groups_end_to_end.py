"""The message group through the whole service: request, topic, queue."""

from __future__ import annotations

import json
import uuid
from typing import Any

from running_service import RunningService, eventually, new_id


def test_a_group_reaches_the_queues_behind_the_topic(local_deployment: RunningService) -> None:
    queue_url = local_deployment.sqs("CreateQueue", QueueName=f"groups-{uuid.uuid4().hex}")["QueueUrl"]
    answer = local_deployment.sqs("GetQueueAttributes", QueueUrl=queue_url, AttributeNames=["QueueArn"])
    local_deployment.sns(
        "Subscribe",
        TopicArn=local_deployment.outputs["sdNotificationLambdaARN"],
        Protocol="sqs",
        Endpoint=answer["Attributes"]["QueueArn"],
        **{"Attributes.entry.1.key": "RawMessageDelivery", "Attributes.entry.1.value": "true"},
    )
    groups = {new_id(): "tenant-a", new_id(): "tenant-b", new_id(): None}
    for task_id, group in groups.items():
        metadata: dict[str, Any] = {} if group is None else {"group": group}
        assert local_deployment.submit(id=task_id, **metadata).status_code == 200

    seen: dict[str, str | None] = {}

    def look() -> bool:
        received = local_deployment.sqs(
            "ReceiveMessage", QueueUrl=queue_url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["MessageGroupId"]
        )
        for message in received.get("Messages", ()):
            task_id = json.loads(message["Body"])["metadata"]["id"]
            seen[task_id] = message.get("Attributes", {}).get("MessageGroupId")
        return groups.keys() <= seen.keys()

    eventually(look)
    assert {task_id: seen[task_id] for task_id in groups} == groups
    assert all(local_deployment.ended(task_id)["status"] == "succeeded" for task_id in groups)
