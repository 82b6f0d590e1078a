"""What EC2 has in a region: instance types by zone, networks, AMIs and snapshots."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sdfleet.aws.operator_errors import explained

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


@dataclass(frozen=True)
class Subnet:
    subnet_id: str
    vpc_id: str
    zone: str
    free_addresses: int


class MachineOffers:
    """Every call may raise DeploymentError."""

    def __init__(self, client: EC2Client) -> None:
        self._client = client

    def zones(self) -> list[str]:
        """The region's availability zones that take instances, local zones left out."""
        with explained():
            answer = self._client.describe_availability_zones(
                Filters=[
                    {"Name": "state", "Values": ["available"]},
                    {"Name": "zone-type", "Values": ["availability-zone"]},
                ]
            )
        return sorted(zone["ZoneName"] for zone in answer["AvailabilityZones"])

    def offered(self, instance_types: Collection[str]) -> dict[str, set[str]]:
        """Of those types, the ones that the region has at all, each with its zones."""
        with explained():
            pages = self._client.get_paginator("describe_instance_type_offerings").paginate(
                LocationType="availability-zone",
                Filters=[{"Name": "instance-type", "Values": sorted(instance_types)}],
            )
            found: dict[str, set[str]] = {}
            for page in pages:
                for offer in page["InstanceTypeOfferings"]:
                    found.setdefault(offer["InstanceType"], set()).add(offer["Location"])
        return found

    def vcpus(self, instance_types: Collection[str]) -> dict[str, int]:
        """Quotas are counted in these."""
        if not instance_types:
            return {}
        with explained():
            answer = self._client.describe_instance_types(InstanceTypes=sorted(instance_types))  # type: ignore[arg-type]
        return {one["InstanceType"]: one["VCpuInfo"]["DefaultVCpus"] for one in answer["InstanceTypes"]}

    def vpc_count(self) -> int:
        with explained():
            return sum(len(page["Vpcs"]) for page in self._client.get_paginator("describe_vpcs").paginate())

    def has_vpc(self, vpc_id: str) -> bool:
        with explained():
            return bool(self._client.describe_vpcs(Filters=[{"Name": "vpc-id", "Values": [vpc_id]}])["Vpcs"])

    def subnets(self, subnet_ids: Collection[str]) -> list[Subnet]:
        """Those of them that exist."""
        with explained():
            answer = self._client.describe_subnets(Filters=[{"Name": "subnet-id", "Values": sorted(subnet_ids)}])
        return [
            Subnet(one["SubnetId"], one["VpcId"], one["AvailabilityZone"], one["AvailableIpAddressCount"])
            for one in answer["Subnets"]
        ]

    # By filter, because what is not there is no error then.

    def snapshot_state(self, snapshot_id: str) -> str | None:
        """`completed` when it can be used; None: there is none, or it is not shared with this account."""
        with explained():
            answer = self._client.describe_snapshots(Filters=[{"Name": "snapshot-id", "Values": [snapshot_id]}])
        return next((one["State"] for one in answer["Snapshots"]), None)

    def image_state(self, ami_id: str) -> str | None:
        """`available` when it can be launched; None: there is none, or it is not shared with this account."""
        with explained():
            answer = self._client.describe_images(Filters=[{"Name": "image-id", "Values": [ami_id]}])
        return next((one["State"] for one in answer["Images"]), None)
