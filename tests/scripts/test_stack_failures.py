"""What of a failed stack is shown: the first resource that failed, not what followed from it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from sdfleet.aws.stacks import Stacks
from sdfleet.errors import DeploymentError

BEGAN = datetime(2026, 11, 21, 12, tzinfo=UTC)
STACK_ID = "arn:aws:cloudformation:us-east-1:123456789012:stack/sdfleet/1"


def a_client() -> Any:
    return boto3.client(
        "cloudformation", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
    )


def an_event(seconds: int, resource: str, status: str, reason: str = "", **fields: str) -> dict[str, Any]:
    return {
        "StackId": STACK_ID,
        "EventId": f"{resource}-{seconds}",
        "StackName": "sdfleet",
        "Timestamp": BEGAN + timedelta(seconds=seconds),
        "LogicalResourceId": resource,
        "ResourceType": "AWS::Lambda::Function",
        "ResourceStatus": status,
        "ResourceStatusReason": reason,
        **fields,
    }


def test_the_first_failure_is_shown_and_not_what_it_took_down() -> None:
    client = a_client()
    events = [
        an_event(30, "sdfleet", "ROLLBACK_COMPLETE"),
        an_event(21, "Table", "CREATE_FAILED", "Resource creation cancelled"),
        an_event(20, "Api", "CREATE_FAILED", "no such role"),
        an_event(10, "Queue", "CREATE_COMPLETE"),
        an_event(-60, "Old", "UPDATE_FAILED", "a failure of the day before"),
    ]
    with Stubber(client) as stubber:
        stubber.add_response("describe_stack_events", {"StackEvents": events})
        failure = Stacks(client).first_failure("sdfleet", since=BEGAN)
    assert failure is not None
    assert (failure.logical_id, failure.reason) == ("Api", "no such role")


def test_a_nested_stack_is_looked_into() -> None:
    client = a_client()
    nested = f"{STACK_ID}-nested"
    outer = an_event(
        20, "Nested", "CREATE_FAILED", "Embedded stack was not created",
        ResourceType="AWS::CloudFormation::Stack", PhysicalResourceId=nested,
    )  # fmt: skip
    with Stubber(client) as stubber:
        stubber.add_response("describe_stack_events", {"StackEvents": [outer]})
        stubber.add_response(
            "describe_stack_events", {"StackEvents": [an_event(15, "Role", "CREATE_FAILED", "not allowed")]}
        )
        failure = Stacks(client).first_failure("sdfleet", since=BEGAN)
    assert failure is not None
    assert (failure.logical_id, failure.reason) == ("Role", "not allowed")


def test_a_stack_that_is_being_worked_on_is_waited_for() -> None:
    client = a_client()
    heard: list[str] = []
    with Stubber(client) as stubber:
        for status in ("UPDATE_IN_PROGRESS", "UPDATE_COMPLETE"):
            stack = {"StackName": "sdfleet", "StackStatus": status, "CreationTime": BEGAN}
            stubber.add_response("describe_stacks", {"Stacks": [stack]})
        found = Stacks(client, pause=lambda _: None).settled("sdfleet", heard.append)
    assert found is not None
    assert found.is_usable
    assert heard == ["UPDATE_IN_PROGRESS"]


def test_a_stack_that_cannot_be_deleted_names_what_is_in_the_way() -> None:
    client = a_client()
    stack = {"StackName": "sdfleet", "StackStatus": "DELETE_FAILED", "CreationTime": BEGAN}
    with Stubber(client) as stubber:
        stubber.add_response("delete_stack", {})
        stubber.add_response("describe_stacks", {"Stacks": [stack]})
        stubber.add_response(
            "describe_stack_events", {"StackEvents": [an_event(5, "Vpc", "DELETE_FAILED", "has dependencies.")]}
        )
        with pytest.raises(DeploymentError, match=r"Vpc \(AWS::Lambda::Function\): has dependencies. Mend that"):
            Stacks(client).delete("sdfleet", heard_nothing, now=BEGAN)


def heard_nothing(_status: str) -> None:
    pass


def test_a_denied_call_says_which_right_is_missing() -> None:
    client = a_client()
    with Stubber(client) as stubber:
        stubber.add_client_error("describe_stacks", "AccessDenied", "User x is not authorized to perform y", 403)
        with pytest.raises(DeploymentError, match="AWS does not allow DescribeStacks: User x is not authorized"):
            Stacks(client).find("sdfleet")
