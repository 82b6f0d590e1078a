from __future__ import annotations

from typing import Any

from cdk_fleet_bench import fleet_template, with_fleet

SUBNET = "AWS::EC2::Subnet"
GROUP = "AWS::AutoScaling::AutoScalingGroup"
SECURITY_GROUP = "AWS::EC2::SecurityGroup"


def test_nothing_comes_in() -> None:
    template = fleet_template()
    assert template.one(SECURITY_GROUP)["SecurityGroupIngress"] == []
    assert template.of_type("AWS::EC2::SecurityGroupIngress") == []


def test_instances_go_out_by_web_ports_only() -> None:
    ports = [one["FromPort"] for one in fleet_template().one(SECURITY_GROUP)["SecurityGroupEgress"]]
    assert ports == [80, 443]


def test_a_host_that_links_may_name_with_its_port_can_be_reached() -> None:
    template = fleet_template(inputs={"allowedHosts": ["pictures.internal:8080"]})
    ports = [one["FromPort"] for one in template.one(SECURITY_GROUP)["SecurityGroupEgress"]]
    assert ports == [80, 443, 8080]


def test_an_own_network_has_three_zones_and_free_gateways_to_s3_and_dynamodb() -> None:
    template = fleet_template(network={"cidr": "10.42.0.0/20"})
    assert template.one("AWS::EC2::VPC")["CidrBlock"] == "10.42.0.0/20"
    assert len(template.of_type(SUBNET)) == 3
    endpoints = template.of_type("AWS::EC2::VPCEndpoint")
    assert [one["VpcEndpointType"] for one in endpoints] == ["Gateway", "Gateway"]
    assert template.of_type("AWS::EC2::NatGateway") == []


def test_by_default_instances_have_public_addresses() -> None:
    template = fleet_template()
    (interface,) = template.launch_data["NetworkInterfaces"]
    assert interface["AssociatePublicIpAddress"] is True
    # Whatever else is put into the subnets has none.
    assert [one["MapPublicIpOnLaunch"] for one in template.of_type(SUBNET)] == [False] * 3


def test_behind_nat_gateways_instances_have_no_public_address() -> None:
    template = fleet_template(network={"egress": "nat"})
    (interface,) = template.launch_data["NetworkInterfaces"]
    assert interface["AssociatePublicIpAddress"] is False
    assert len(template.of_type("AWS::EC2::NatGateway")) == 3
    assert len(template.of_type(SUBNET)) == 6


def test_without_the_internet_there_is_an_endpoint_for_each_service_that_instances_call() -> None:
    template = fleet_template(network={"egress": "endpoints"})
    services = {
        str(one["ServiceName"]).rsplit("us-west-2.", 1)[-1]
        for one in template.of_type("AWS::EC2::VPCEndpoint")
        if one["VpcEndpointType"] == "Interface"
    }
    assert services == {
        "sqs",
        "sns",
        "ssm",
        "ssmmessages",
        "logs",
        "monitoring",
        "autoscaling",
        "ecr.api",
        "ecr.dkr",
    }
    assert template.of_type("AWS::EC2::InternetGateway") == []
    for group in template.of_type(SECURITY_GROUP):
        assert not [rule for rule in group.get("SecurityGroupIngress", []) if rule.get("CidrIp") == "0.0.0.0/0"]


def test_an_existing_network_is_left_as_it_is() -> None:
    subnets = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
    template = fleet_template(network={"vpcId": "vpc-0123456789abcdef0", "subnetIds": subnets})
    assert template.of_type("AWS::EC2::VPC") == []
    assert template.one(GROUP)["VPCZoneIdentifier"] == subnets
    assert template.one(SECURITY_GROUP)["VpcId"] == "vpc-0123456789abcdef0"


def test_a_fleet_that_names_its_zones_launches_there_only() -> None:
    template = fleet_template(modelsRuntime=with_fleet(zones=["us-west-2b"]))
    (subnet,) = template.one(GROUP)["VPCZoneIdentifier"]
    assert _zone(template.resources, subnet) == "us-west-2b"


def _zone(resources: Any, subnet: Any) -> object:
    return resources[subnet["Ref"]]["Properties"]["AvailabilityZone"]
