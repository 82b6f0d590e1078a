"""Rules of Auto Scaling, each cited at the test that holds local mode to it, and boto3's client to ask with.

`docs/reference/auto-scaling-rules.md` is written from the decorators (`python -m sdfleet_cli.reference`).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest
from botocore.exceptions import ClientError

from scaling_bench import ScalingBench
from sdfleet.aws.clients import Clients
from sdfleet_local.autoscaling_api import AutoScalingServer
from sdfleet_local.groups import Groups

F = TypeVar("F", bound=Callable[..., Any])


def rule(rule_id: str, text: str, source: str) -> Callable[[F], F]:
    """Marks the test of a rule. `source`: the document, and its words where they matter."""

    def mark(test: F) -> F:
        for name, value in (("rule_id", rule_id), ("rule_text", text), ("rule_source", source)):
            assert value, f"a rule has no {name}"
            setattr(test, name, value)
        return test

    return mark


@dataclass
class Fleet:
    """A group and the calls on it."""

    bench: ScalingBench
    client: Any

    @property
    def name(self) -> str:
        return self.bench.name

    def call(self, operation: str, **arguments: Any) -> Any:
        answer = getattr(self.client, operation)(AutoScalingGroupName=self.name, **arguments)
        self.bench.settle()
        return answer

    def refused(self, operation: str, match: str | None = None, **arguments: Any) -> str:
        """The error's code."""
        with pytest.raises(ClientError, match=match) as refused:
            getattr(self.client, operation)(**self._named(operation), **arguments)
        return str(refused.value.response["Error"]["Code"])

    def _named(self, operation: str) -> dict[str, str]:
        """The group's name, where the call takes it."""
        known = self.client.meta.service_model.operation_model(self.client.meta.method_to_api_mapping[operation])
        return {"AutoScalingGroupName": self.name} if "AutoScalingGroupName" in known.input_shape.members else {}

    @property
    def group(self) -> Any:
        (found,) = self.client.describe_auto_scaling_groups(AutoScalingGroupNames=[self.name])["AutoScalingGroups"]
        return found

    @property
    def desired(self) -> int:
        return int(self.group["DesiredCapacity"])

    @property
    def ids(self) -> list[str]:
        return [one["InstanceId"] for one in self.group["Instances"]]

    @property
    def states(self) -> list[str]:
        return [one["LifecycleState"] for one in self.group["Instances"]]

    @property
    def activities(self) -> list[Any]:
        """Newest first."""
        found: list[Any] = self.client.describe_scaling_activities(AutoScalingGroupName=self.name)["Activities"]
        return found

    def put_policy(self, **arguments: Any) -> str:
        """A step policy's ARN, unless it says otherwise."""
        usual = {"PolicyName": "steps", "PolicyType": "StepScaling", "AdjustmentType": "ChangeInCapacity"}
        arn: str = self.call("put_scaling_policy", **{**usual, **arguments})["PolicyARN"]
        return arn

    def execute(self, value: float, threshold: float = 50, policy: str = "steps") -> int:
        """The desired capacity after ExecutePolicy."""
        self.call("execute_policy", PolicyName=policy, MetricValue=value, BreachThreshold=threshold)
        return self.desired


def steps(*intervals: tuple[float | None, float | None, int]) -> list[dict[str, Any]]:
    """Lower bound, upper bound, adjustment."""
    named = ("MetricIntervalLowerBound", "MetricIntervalUpperBound")
    return [
        {"ScalingAdjustment": add, **{key: one for key, one in zip(named, bounds, strict=True) if one is not None}}
        for *bounds, add in intervals
    ]


@contextmanager
def served() -> Iterator[Callable[..., Fleet]]:
    """Makes fleets, all behind one server."""
    groups = Groups()
    server = AutoScalingServer(groups)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ACCESS_KEY_ID", "test")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "test")
        client = Clients(region="us-east-1", endpoint_url=server.url).autoscaling

    def make(capacity: int, **options: Any) -> Fleet:
        """Its instances have been in service for long."""
        bench = ScalingBench(capacity, name=f"local-{uuid.uuid4().hex[:8]}", **options)
        groups.add(bench.group)
        bench.warm_up()
        return Fleet(bench, client)

    yield make
    client.close()
    server.close()
