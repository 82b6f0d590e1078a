"""Takes a deployment off an account: what there is, what keeps it, and in which order it goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sdfleet.aws.account import Account
from sdfleet.aws.clients import Clients
from sdfleet.aws.container_registry import ContainerRegistry
from sdfleet.aws.fleet_groups import FleetGroups, Group
from sdfleet.aws.remains import delete_alarms, delete_parameters, empty_bucket, parameters_below, waiting_messages
from sdfleet.aws.stacks import Stack, Stacks
from sdfleet.domain import names
from sdfleet.errors import DeploymentRefused
from sdfleet_cli.deployment.cdk_app import foundation_stack
from sdfleet_cli.fleets import runtimes_of

#: Instances give back what they have in hand, or end it: one task and its settlement (the default timeout, doubled).
DRAIN_PATIENCE = timedelta(minutes=20)


@dataclass(frozen=True)
class Inventory:
    """What a deployment has on the account."""

    deployment_id: str
    #: In the order in which they go.
    stacks: tuple[Stack, ...]
    groups: tuple[Group, ...]
    #: Messages that wait or are worked on, by queue; dead letters are not among them.
    tasks: dict[str, int]
    #: Whose last rollout may have left alarms, which no template owns.
    runtimes: tuple[str, ...]
    #: SSM parameters that no template owns.
    parameters: tuple[str, ...]
    repositories: tuple[str, ...]
    #: Emptied and removed.
    inbox_bucket: str
    #: They stay.
    kept_buckets: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        return not (self.stacks or self.parameters or self.repositories)

    @property
    def task_count(self) -> int:
        return sum(self.tasks.values())

    @property
    def instance_count(self) -> int:
        return sum(group.instances for group in self.groups)


def take_inventory(clients: Clients, account: Account, deployment_id: str, model_bucket: str | None) -> Inventory:
    stacks = Stacks(clients.cloudformation)
    found = {name: stacks.find(name) for name in _stack_names(deployment_id)}
    service = found[deployment_id]
    outputs = service.outputs if service else {}
    group_names = sorted(value for key, value in outputs.items() if key.endswith("AutoScalingGroupName"))
    queues = [names.submission_queue_name(deployment_id)]
    # A fleet's queue has its group's name.
    depths = {name: waiting_messages(clients.sqs, name) for name in (*group_names, *queues)}
    groups = FleetGroups(clients.autoscaling)
    place = f"{account.account_id}-{account.region}"
    kept = [outputs.get("OutputBucket") or f"{names.bucket_stem(deployment_id, 'output')}-{place}", model_bucket]
    return Inventory(
        deployment_id=deployment_id,
        stacks=tuple(stack for stack in found.values() if stack is not None),
        groups=tuple(group for name in group_names if (group := groups.find(name)) is not None),
        tasks={name: depth for name, depth in depths.items() if depth},
        runtimes=tuple(runtimes_of(clients, deployment_id)),
        parameters=tuple(parameters_below(clients.ssm, f"/sdfleet/{deployment_id}/")),
        repositories=tuple(ContainerRegistry(clients.ecr).repositories(names.image_repository(deployment_id, ""))),
        inbox_bucket=f"{names.bucket_stem(deployment_id, 'inbox')}-{place}",
        kept_buckets=tuple(filter(None, kept)),
    )


def _stack_names(deployment_id: str) -> tuple[str, ...]:
    """Each before what it stands on."""
    return deployment_id, foundation_stack(deployment_id)


def refuse_while_in_use(inventory: Inventory) -> None:
    """Raises:
    DeploymentRefused: tasks wait or run.
    """
    if inventory.tasks:
        where = ", ".join(f"{count} in {name}" for name, count in inventory.tasks.items())
        raise DeploymentRefused(
            f"Tasks are queued or running ({where}); wait for their end, or lose them with --force."
        )
    busy = [stack for stack in inventory.stacks if stack.is_busy]
    if busy:
        raise DeploymentRefused(f"Stack {busy[0].name} is {busy[0].status}; wait for its end.")


def remove(clients: Clients, inventory: Inventory, say: Callable[[str], None]) -> None:
    """Take it away, the buckets that stay excepted. What is gone already is no error: it can be run again.

    Raises:
        DeploymentError: something does not go; the sentence says what.
    """
    groups = FleetGroups(clients.autoscaling)
    for group in inventory.groups:
        say(f"{group.name}: {group.instances} instances are sent away")
        is_empty = groups.empty(
            group.name, patience=DRAIN_PATIENCE, on_wait=lambda count: say(f"| {count} instances drain")
        )
        if not is_empty:
            say(f"{group.name}: instances remain; they end with their group")
    stacks = Stacks(clients.cloudformation)
    for stack in inventory.stacks:
        if stack.name == foundation_stack(inventory.deployment_id):
            count = empty_bucket(clients.s3, inventory.inbox_bucket)
            say(f"s3://{inventory.inbox_bucket}: {count} inputs and dead letters deleted")
        say(f"stack {stack.name}")
        if stack.name == foundation_stack(inventory.deployment_id):
            # After the recorder, which would make them again, and before the parameters that tell the fleets' names.
            for runtime in inventory.runtimes:
                for alarm in delete_alarms(clients.cloudwatch, names.trial_alarms(inventory.deployment_id, runtime)):
                    say(f"alarm {alarm}")
        stacks.delete(stack.name, lambda status: say(f"| {status}"), now=datetime.now(UTC))
    registry = ContainerRegistry(clients.ecr)
    for repository in registry.delete_repositories(names.image_repository(inventory.deployment_id, "")):
        say(f"repository {repository}")
    # Again: the stacks owned most of them.
    left = parameters_below(clients.ssm, f"/sdfleet/{inventory.deployment_id}/")
    delete_parameters(clients.ssm, left)
    if left:
        say(f"{len(left)} parameters below /sdfleet/{inventory.deployment_id}/")
