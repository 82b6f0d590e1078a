"""Where instances live: a VPC of three zones, or an existing one. Nothing reaches them from anywhere."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from aws_cdk import Fn, Stack
from aws_cdk import aws_ec2 as ec2
from constructs import Construct, IDependable

from sdfleet.config import Config
from sdfleet.config.network import ZONE_COUNT, Egress
from sdfleet_cdk.nag import acknowledge

#: Without a way to the Internet: what instances call, by the service's name in the endpoint's.
_ENDPOINTS = (
    "SQS",
    "SNS",
    "SSM",
    "SSM_MESSAGES",
    "CLOUDWATCH_LOGS",
    "CLOUDWATCH_MONITORING",
    "AUTOSCALING",
    "ECR",
    "ECR_DOCKER",
)


@dataclass(frozen=True)
class InstanceSubnet:
    subnet_id: str
    #: The zone's name or a token; None: unknown, an existing VPC's.
    zone: str | None


class Network(Construct):
    """Subnets and the instances' security group."""

    def __init__(self, scope: Construct, construct_id: str, *, config: Config) -> None:
        super().__init__(scope, construct_id)
        network = config.network
        self._egress = network.egress
        #: What must be there before an instance can reach anything.
        self.ready: tuple[IDependable, ...] = ()
        if network.vpc_id is not None:
            self.vpc_id = network.vpc_id
            self.subnets: tuple[InstanceSubnet, ...] = tuple(InstanceSubnet(one, None) for one in network.subnet_ids)
        else:
            self._make_vpc(config)
        self.security_group = ec2.CfnSecurityGroup(
            self,
            "Instances",
            group_description=f"Instances of {config.stack_name}: nothing comes in",
            vpc_id=self.vpc_id,
            security_group_ingress=[],
            # AWS's services, registries and links in requests: any address, by their ports only. Names come from the
            # VPC's own resolver and time from a link-local address: neither passes a rule.
            security_group_egress=[_outbound(port) for port in sorted(_ports(config))],
        )

    @property
    def has_public_addresses(self) -> bool:
        """Whether each instance gets an address of its own, for going out."""
        return self._egress is Egress.PUBLIC

    def subnet_ids(self, zones: Sequence[str] = ()) -> list[str]:
        """Where a fleet launches; `zones` empty: everywhere. An existing VPC's subnets are all taken."""
        if not zones:
            return [subnet.subnet_id for subnet in self.subnets]
        return [subnet.subnet_id for subnet in self.subnets if subnet.zone is None or subnet.zone in zones]

    def _make_vpc(self, config: Config) -> None:
        zones = _zones(self, config)
        is_public = self._egress is Egress.PUBLIC
        private = ec2.SubnetType.PRIVATE_WITH_EGRESS if self._egress is Egress.NAT else ec2.SubnetType.PRIVATE_ISOLATED
        instances = ec2.SubnetConfiguration(
            name="instances",
            subnet_type=ec2.SubnetType.PUBLIC if is_public else private,
            # Fleets' launch templates ask for an address themselves. Image Builder's instances have no such word.
            map_public_ip_on_launch=config.image_pipeline.enabled if is_public else None,
        )
        gateways = ec2.SubnetConfiguration(
            name="gateways", subnet_type=ec2.SubnetType.PUBLIC, cidr_mask=28, map_public_ip_on_launch=False
        )
        vpc = ec2.Vpc(
            self,
            "Vpc",
            ip_addresses=ec2.IpAddresses.cidr(config.network.cidr),
            availability_zones=zones,
            nat_gateways=len(zones) if self._egress is Egress.NAT else 0,
            subnet_configuration=[instances, gateways] if self._egress is Egress.NAT else [instances],
            restrict_default_security_group=False,
            gateway_endpoints={
                "S3": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.S3),
                "DynamoDb": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.DYNAMODB),
            },
        )
        acknowledge(
            vpc,
            {
                "VPC7": "Flow logs are billed by the GB, and nothing can reach the instances; switch them on where an"
                " audit asks for them."
            },
        )
        self.vpc_id = vpc.vpc_id
        chosen = vpc.public_subnets if is_public else vpc.private_subnets or vpc.isolated_subnets
        self.subnets = tuple(InstanceSubnet(one.subnet_id, one.availability_zone) for one in chosen)
        self.ready = tuple(one.internet_connectivity_established for one in chosen)
        if self._egress is Egress.ENDPOINTS:
            self._make_endpoints(vpc, config)

    def _make_endpoints(self, vpc: ec2.Vpc, config: Config) -> None:
        for service in (*_ENDPOINTS, *(("IMAGE_BUILDER",) if config.image_pipeline.enabled else ())):
            # Its security group takes HTTPS from the VPC's own addresses.
            endpoint = vpc.add_interface_endpoint(
                service.title().replace("_", ""), service=getattr(ec2.InterfaceVpcEndpointAwsService, service)
            )
            self.ready = (*self.ready, endpoint)


def _zones(scope: Construct, config: Config) -> list[str]:
    """The zones that fleets ask for by name; otherwise the region's first three, which CloudFormation names."""
    named = sorted({zone for runtime in config.runtimes for zone in runtime.fleet.zones})
    unnamed = any(not runtime.fleet.zones for runtime in config.runtimes)
    if named and not unnamed:
        return named
    if named:
        region = named[0].rstrip("abcdefghijklmnopqrstuvwxyz")
        letters = (zone for zone in (f"{region}{letter}" for letter in "abc") if zone not in named)
        return [*named, *(zone for zone, _ in zip(letters, range(max(0, ZONE_COUNT - len(named))), strict=False))]
    zones = Fn.get_azs(Stack.of(scope).region)
    return [Fn.select(index, zones) for index in range(ZONE_COUNT)]


def _ports(config: Config) -> set[int]:
    """HTTPS, HTTP, and what the configuration names with a port of its own."""
    images = (image for one in config.runtimes for image in (one.images.scheduler, one.images.runtime) if image)
    hosts = [*config.inputs.allowed_hosts, *(image.split("/", 1)[0] for image in images)]
    return {443, 80, *(int(match[1]) for host in hosts if (match := re.search(r":(\d{1,5})$", host)))}


def _outbound(port: int) -> ec2.CfnSecurityGroup.EgressProperty:
    return ec2.CfnSecurityGroup.EgressProperty(
        ip_protocol="tcp", from_port=port, to_port=port, cidr_ip="0.0.0.0/0", description="to AWS, registries, links"
    )
