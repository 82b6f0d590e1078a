"""Where the instances live and how they reach AWS. Nothing reaches them: there is no inbound rule."""

from __future__ import annotations

import ipaddress
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from sdfleet.config.section import Kind, Section, SubnetId, VpcId

#: Three zones of 2 subnets each, as the EKS guidance lays them out.
ZONE_COUNT = 3


class Egress(StrEnum):
    #: A public address each, without any inbound rule: costs nothing while nothing runs.
    PUBLIC = "public"
    #: Private subnets behind one NAT gateway in each zone: billed by the hour, used or not.
    NAT = "nat"
    #: Private subnets with interface endpoints only: no way to the Internet, billed by the hour.
    ENDPOINTS = "endpoints"


def _is_cidr(value: str) -> bool:
    try:
        network = ipaddress.IPv4Network(value)
    except ValueError:
        return False
    # VPC User Guide: /16 to /28; below /24 six subnets have no room for a fleet.
    return network.is_private and 16 <= network.prefixlen <= 24


_Cidr = Annotated[str, Kind("a private IPv4 block between /16 and /24, such as 10.0.0.0/16", _is_cidr, {})]


class NetworkConfig(Section):
    """A VPC of its own over three zones, or an existing one."""

    cidr: _Cidr = "10.0.0.0/16"
    """The own VPC's addresses. Choose others where VPCs are to be peered."""
    vpc_id: VpcId | None = None
    """An existing VPC, with subnetIds. null: an own one."""
    subnet_ids: tuple[SubnetId, ...] = Field(default=(), strict=False)
    """The existing VPC's subnets to launch in, one or more of each zone that is to be used."""
    egress: Egress = Field(default=Egress.PUBLIC, strict=False)
    """public: an address each and no inbound rule, free while idle. nat: NAT gateways. endpoints: AWS only, no
    Internet."""

    @property
    def is_existing(self) -> bool:
        return self.vpc_id is not None
