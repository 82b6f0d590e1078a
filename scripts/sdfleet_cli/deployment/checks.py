"""What must be true of the account before anything is made: each failure says what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from sdfleet.aws.machine_offers import MachineOffers
from sdfleet.aws.quotas import ON_DEMAND_GPU, SPOT_GPU, VPCS, Quota, lambda_concurrency, quota_value
from sdfleet.config import Config
from sdfleet.config.fleet import FleetConfig
from sdfleet.config.runtime import RuntimeConfig
from sdfleet.domain.task import RuntimeType
from sdfleet.errors import DeploymentRefused
from sdfleet_cli.deployment import container_engine
from sdfleet_cli.deployment.cdk_app import cdk_command
from sdfleet_cli.deployment.session import Session

#: Below this, other functions of the account can crowd out the API's.
_LOW_CONCURRENCY = 100


class Verdict(Enum):
    OK = "ok"
    #: It will work, but not as well as it could.
    NOTE = "note"
    #: It cannot work.
    STOP = "STOP"


@dataclass(frozen=True)
class Finding:
    verdict: Verdict
    text: str


class Checks:
    name = "checks"
    title = "Checks"

    def inputs(self, session: Session) -> Mapping[str, object]:
        return {}

    def holds(self, session: Session) -> bool:
        # The account changes without us; asking it costs seconds.
        return False

    def run(self, session: Session) -> Mapping[str, str]:
        """Raises:
        DeploymentRefused: something must be changed first; all of it was printed.
        """
        stops = []
        for finding in findings(session):
            session.note(f"{finding.verdict.value:4}  {finding.text}")
            if finding.verdict is Verdict.STOP:
                stops.append(finding)
        if stops:
            count = "one thing" if len(stops) == 1 else f"{len(stops)} things"
            raise DeploymentRefused(f"{count[0].upper()}{count[1:]} must be changed first (STOP above).")
        return {}


def findings(session: Session) -> Iterator[Finding]:
    account, config = session.account, session.config
    yield Finding(Verdict.OK, f"credentials: {account.caller_arn}, account {account.account_id}, {account.region}")
    yield from _tools(session, config)
    offers = MachineOffers(session.clients.ec2)
    fleets = [runtime for runtime in config.runtimes if runtime.type is not RuntimeType.TEST_PATTERN]
    offered = offers.offered({one for runtime in fleets for one in runtime.fleet.instance_types}) if fleets else {}
    yield from _instance_types(fleets, offered, offers.zones(), account.region)
    yield from _gpu_quotas(session, fleets, offers, offered)
    yield from _lambda_limit(session, config)
    yield from _network(session, config, offers)
    yield from _disks(fleets, offers)


def _tools(session: Session, config: Config) -> Iterator[Finding]:
    command = cdk_command(session.root)
    if command is None:
        yield Finding(Verdict.STOP, "the AWS CDK needs Node.js 20 or later with npm: install it, then run this again")
    else:
        yield Finding(Verdict.OK, f"CDK: {' '.join(command)}")
    is_building = any(
        runtime.images.scheduler is None
        or (runtime.images.runtime is None and runtime.type is not RuntimeType.TEST_PATTERN)
        for runtime in config.runtimes
    )
    if is_building and not session.options.is_built_on_aws:
        engine = container_engine.find()
        if engine is None:
            yield Finding(
                Verdict.STOP,
                "no container engine (docker, podman or buildah) works here: install one, add --on-aws to build on the "
                "account, or name images of yours in modelsRuntime[].images",
            )
        else:
            yield Finding(Verdict.OK, f"container engine: {engine.name}")


def _instance_types(
    runtimes: list[RuntimeConfig], offered: Mapping[str, set[str]], zones: list[str], region: str
) -> Iterator[Finding]:
    for runtime in runtimes:
        fleet = runtime.fleet
        there = {one: offered[one] & set(fleet.zones or zones) for one in fleet.instance_types if one in offered}
        there = {one: where for one, where in there.items() if where}
        if not there:
            yield Finding(
                Verdict.STOP,
                f"{runtime.name}: {region} offers none of {', '.join(fleet.instance_types)}"
                f"{' in ' + ', '.join(fleet.zones) if fleet.zones else ''}; choose others in fleet.instanceTypes "
                "(aws ec2 describe-instance-type-offerings lists them), or another region with -R",
            )
            continue
        missing = [one for one in fleet.instance_types if one not in there]
        pools = sum(len(where) for where in there.values())
        spread = ", ".join(f"{one} in {len(where)} zones" for one, where in there.items())
        if missing:
            yield Finding(Verdict.NOTE, f"{runtime.name}: not offered here: {', '.join(missing)}")
        if pools < 4:
            yield Finding(
                Verdict.NOTE, f"{runtime.name}: only {pools} Spot pools ({spread}); more types find more capacity"
            )
        else:
            yield Finding(Verdict.OK, f"{runtime.name}: {spread}")


def _gpu_quotas(
    session: Session, runtimes: list[RuntimeConfig], offers: MachineOffers, offered: Mapping[str, set[str]]
) -> Iterator[Finding]:
    vcpus = offers.vcpus(offered)
    needs = [_vcpus_needed(runtime.fleet, vcpus) for runtime in runtimes]
    for quota, wanted, least in (
        (ON_DEMAND_GPU, sum(one.on_demand for one in needs), max((one.smallest for one in needs), default=0)),
        (SPOT_GPU, sum(one.spot for one in needs), max((one.smallest for one in needs), default=0)),
    ):
        if wanted:
            yield _quota_finding(session, quota, wanted, least)


@dataclass(frozen=True)
class _Need:
    """vCPUs of a fleet at its largest, with its smallest instance type."""

    on_demand: int
    spot: int
    smallest: int


def _vcpus_needed(fleet: FleetConfig, vcpus: Mapping[str, int]) -> _Need:
    sizes = [vcpus[one] for one in fleet.instance_types if one in vcpus]
    smallest = min(sizes, default=0)
    base = min(fleet.on_demand_base, fleet.max_size)
    # Auto Scaling rounds up.
    above = -(-(fleet.max_size - base) * fleet.on_demand_percentage // 100)
    on_demand = base + above
    return _Need(on_demand * smallest, (fleet.max_size - on_demand) * smallest, smallest)


def _quota_finding(session: Session, quota: Quota, wanted: int, least: int) -> Finding:
    value = quota_value(session.clients, quota)
    ask = (
        f"aws service-quotas request-service-quota-increase --service-code {quota.service} --quota-code {quota.code} "
        f"--desired-value {wanted} --region {session.account.region}"
    )
    if value is None:
        return Finding(Verdict.NOTE, f"quota {quota.name!r} cannot be read; {wanted} vCPUs are needed at the most")
    if value < least:
        return Finding(Verdict.STOP, f"quota {quota.name!r} is {value:g} vCPUs, one instance needs {least}: {ask}")
    if value < wanted:
        return Finding(Verdict.NOTE, f"quota {quota.name!r} is {value:g} of {wanted} vCPUs at full size: {ask}")
    return Finding(Verdict.OK, f"quota {quota.name!r}: {value:g} vCPUs, {wanted} needed at full size")


def _lambda_limit(session: Session, config: Config) -> Iterator[Finding]:
    limit = lambda_concurrency(session.clients)
    if limit is None:
        yield Finding(Verdict.NOTE, "Lambda's concurrency limit cannot be read")
    elif limit <= config.waiting_cap:
        yield Finding(
            Verdict.STOP,
            f"Lambda runs {limit} functions at once in this account, and {config.waiting_cap} requests may wait: set "
            f"waitingCap below {limit}, or have the quota 'Concurrent executions' (L-B99A9384) raised",
        )
    elif limit < _LOW_CONCURRENCY:
        yield Finding(
            Verdict.NOTE, f"Lambda runs only {limit} functions at once in this account; ask for 1000 (L-B99A9384)"
        )
    else:
        yield Finding(Verdict.OK, f"Lambda concurrency: {limit}")


def _network(session: Session, config: Config, offers: MachineOffers) -> Iterator[Finding]:
    network = config.network
    if network.vpc_id is None:
        limit = quota_value(session.clients, VPCS)
        count = offers.vpc_count()
        if limit is not None and count >= limit and session.stacks.find(session.deployment_id) is None:
            yield Finding(
                Verdict.STOP,
                f"{count} of {limit:g} VPCs are in use: delete one, have the quota {VPCS.code} raised, or name a VPC "
                "of yours in network.vpcId",
            )
        else:
            yield Finding(Verdict.OK, f"VPC: a new one, {network.cidr}")
        return
    if not offers.has_vpc(network.vpc_id):
        yield Finding(
            Verdict.STOP, f"there is no VPC {network.vpc_id} in {session.account.region}; correct network.vpcId"
        )
        return
    found = {one.subnet_id: one for one in offers.subnets(network.subnet_ids)}
    for subnet_id in network.subnet_ids:
        subnet = found.get(subnet_id)
        if subnet is None or subnet.vpc_id != network.vpc_id:
            yield Finding(Verdict.STOP, f"subnet {subnet_id} is not in {network.vpc_id}; correct network.subnetIds")
    wanted = sum(runtime.fleet.max_size for runtime in config.runtimes)
    free = sum(subnet.free_addresses for subnet in found.values())
    if found and free < wanted:
        yield Finding(
            Verdict.STOP, f"{free} addresses are free in the subnets, {wanted} instances may run: add subnets"
        )
    elif found:
        yield Finding(Verdict.OK, f"VPC {network.vpc_id}: {free} free addresses in {len(found)} subnets")


def _disks(runtimes: list[RuntimeConfig], offers: MachineOffers) -> Iterator[Finding]:
    for snapshot in sorted({one for runtime in runtimes if (one := runtime.fleet.volume.snapshot_id)}):
        state = offers.snapshot_state(snapshot)
        if state != "completed":
            what = "is not there, or not shared with this account" if state is None else f"is {state}"
            yield Finding(
                Verdict.STOP, f"snapshot {snapshot} {what}; name another in volume.snapshotId, or wait for it"
            )
        else:
            yield Finding(Verdict.OK, f"snapshot {snapshot}")
    for ami in sorted({one for runtime in runtimes if (one := runtime.fleet.ami_id)}):
        state = offers.image_state(ami)
        if state != "available":
            what = "is not there, or not shared with this account" if state is None else f"is {state}"
            yield Finding(Verdict.STOP, f"AMI {ami} {what}; name another in fleet.amiId, or wait for it")
        else:
            yield Finding(Verdict.OK, f"AMI {ami}")
