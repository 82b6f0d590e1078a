"""CloudFormation stacks, as the deployment's commands see them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from sdfleet.aws.operator_errors import explained, message_of
from sdfleet.errors import DeploymentError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

#: A stack event comes every few seconds; asking more often only meets the throttle.
POLL = timedelta(seconds=5)
#: CloudFront's distribution takes the longest, a quarter of an hour at most; instances drain for up to two hours.
PATIENCE = timedelta(hours=3)


@dataclass(frozen=True)
class Stack:
    name: str
    #: As CloudFormation says it: CREATE_COMPLETE, UPDATE_ROLLBACK_FAILED, ...
    status: str
    status_reason: str
    outputs: dict[str, str]
    tags: dict[str, str]
    updated_at: datetime

    @property
    def is_busy(self) -> bool:
        return self.status.endswith("_IN_PROGRESS")

    @property
    def is_usable(self) -> bool:
        """Whether what it stands for is there. A rolled-back update leaves what was before."""
        return self.status in (
            "CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE",
        )  # fmt: skip


@dataclass(frozen=True)
class FailedResource:
    logical_id: str
    resource_type: str
    reason: str


class Stacks:
    """Every call may raise DeploymentError."""

    def __init__(self, client: CloudFormationClient, *, pause: Callable[[float], None] = time.sleep) -> None:
        self._client = client
        self._pause = pause

    def find(self, name: str) -> Stack | None:
        try:
            with explained():
                answer = self._client.describe_stacks(StackName=name)
        except DeploymentError as error:
            # CloudFormation has no code of its own for it.
            if isinstance(error.__cause__, ClientError) and "does not exist" in message_of(error.__cause__):
                return None
            raise
        return next((_stack(one) for one in answer["Stacks"] if one["StackStatus"] != "DELETE_COMPLETE"), None)

    def all(self) -> list[Stack]:
        """Every stack of the region that is not deleted."""
        with explained():
            pages = self._client.get_paginator("describe_stacks").paginate()
            return [_stack(one) for page in pages for one in page["Stacks"] if one["StackStatus"] != "DELETE_COMPLETE"]

    def physical_id(self, stack: str, resource_type: str) -> str | None:
        """Of the stack's first resource of that type."""
        with explained():
            answer = self._client.describe_stack_resources(StackName=stack)
        found = (one for one in answer["StackResources"] if one["ResourceType"] == resource_type)
        return next((one["PhysicalResourceId"] for one in found if one.get("PhysicalResourceId")), None)

    def first_failure(self, name: str, *, since: datetime) -> FailedResource | None:
        """What failed first since then: the later failures follow from it. A nested stack's own first failure."""
        with explained():
            pages = self._client.get_paginator("describe_stack_events").paginate(StackName=name)
            events = [event for page in pages for event in page["StackEvents"] if event["Timestamp"] >= since]
        failed = [
            event
            for event in events
            if event.get("ResourceStatus", "").endswith("_FAILED")
            # Cancelled with the first one.
            and "cancelled" not in event.get("ResourceStatusReason", "").lower()
        ]
        if not failed:
            return None
        first = min(failed, key=lambda event: event["Timestamp"])
        nested = first.get("PhysicalResourceId", "")
        if first.get("ResourceType") == "AWS::CloudFormation::Stack" and nested and nested != first["StackId"]:
            inner = self.first_failure(nested, since=since)
            if inner is not None:
                return inner
        return FailedResource(
            first.get("LogicalResourceId", name),
            first.get("ResourceType", "resource"),
            first.get("ResourceStatusReason", "CloudFormation gives no reason"),
        )

    def settled(self, name: str, on_wait: Callable[[str], None]) -> Stack | None:
        """The stack once nothing is being done to it; `on_wait` hears its status now and then."""
        waited = timedelta()
        while True:
            stack = self.find(name)
            if stack is None or not stack.is_busy:
                return stack
            if waited >= PATIENCE:
                raise DeploymentError(f"Stack {name} is {stack.status} for hours; look at its events in the console.")
            on_wait(stack.status)
            self._pause(POLL.total_seconds())
            waited += POLL

    def delete(self, name: str, on_wait: Callable[[str], None], *, now: datetime) -> None:
        """Delete it and wait for the end; it is no error if it is not there.

        Raises:
            DeploymentError: it cannot be deleted; the sentence names the resource that is in the way.
        """
        with explained():
            self._client.delete_stack(StackName=name)
        stack = self.settled(name, on_wait)
        if stack is None:
            return
        failure = self.first_failure(name, since=now)
        why = f"{failure.logical_id} ({failure.resource_type}): {failure.reason}" if failure else stack.status_reason
        raise DeploymentError(f"Stack {name} could not be deleted: {why.rstrip('.')}. Mend that, then run it again.")


def _stack(answer: object) -> Stack:
    fields: dict[str, object] = dict(answer)  # type: ignore[call-overload]
    return Stack(
        name=str(fields["StackName"]),
        status=str(fields["StackStatus"]),
        status_reason=str(fields.get("StackStatusReason", "")),
        outputs={one["OutputKey"]: one["OutputValue"] for one in fields.get("Outputs", ())},  # type: ignore[attr-defined]
        tags={one["Key"]: one["Value"] for one in fields.get("Tags", ())},  # type: ignore[attr-defined]
        updated_at=fields.get("LastUpdatedTime") or fields["CreationTime"],  # type: ignore[arg-type]
    )
