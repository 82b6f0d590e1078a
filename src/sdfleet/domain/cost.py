"""What a deployment costs in a month, as arithmetic on prices and counts. Free tiers and taxes are left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: A month, as AWS's own examples have it.
HOURS = 730
_MILLION = 1_000_000
_KIB_PER_GIB = 1024 * 1024
#: Lambda asks an idle event source queue with five long polls of 20 s at a time (Lambda Developer Guide, "Polling").
_IDLE_POLLS = 5 * 3 * 60 * HOURS
#: gp3's price includes so much (EBS pricing).
_INCLUDED_IOPS, _INCLUDED_THROUGHPUT = 3000, 125


@dataclass(frozen=True)
class Prices:
    """USD; what each is for stands beside its number, with source and date (`sdfleet/config/prices.yaml`)."""

    api_gateway_million: float
    lambda_gb_second: float
    lambda_million: float
    sns_million: float
    sns_transfer_gb: float
    sqs_million: float
    s3_put_thousand: float
    s3_gb_month: float
    dynamodb_write_million: float
    dynamodb_read_million: float
    dynamodb_gb_month: float
    dynamodb_backup_gb_month: float
    logs_gb: float
    logs_gb_month: float
    custom_metric_month: float
    metric_put_thousand: float
    xray_trace_million: float
    alarm_metric_month: float
    dashboard_month: float
    volume_gb_month: float
    volume_iops_month: float
    volume_throughput_month: float
    volume_initialization_gb: float
    snapshot_gb_month: float
    ecr_gb_month: float
    public_ipv4_hour: float
    nat_gateway_hour: float
    interface_endpoint_hour: float
    secret_month: float
    key_month: float


@dataclass(frozen=True)
class Item:
    """One row of a bill."""

    service: str
    unit: str
    quantity: float
    unit_price_usd: float

    @property
    def total_usd(self) -> float:
        return self.quantity * self.unit_price_usd


@dataclass(frozen=True)
class Machine:
    """What an hour of one instance costs."""

    instance_type: str
    spot_hour_usd: float
    #: Percent of the hours that are On-Demand.
    on_demand_percentage: int
    #: Needed where some hours are.
    on_demand_hour_usd: float = 0.0
    volume_gib: int = 80
    volume_iops: int = _INCLUDED_IOPS
    volume_throughput: int = _INCLUDED_THROUGHPUT
    #: GiB of snapshot that a new instance's volumes are filled from at the provisioned rate that the price is for;
    #: fewer at a lower rate, 0 at none.
    initialized_gib: float = 0.0
    has_public_address: bool = True


@dataclass(frozen=True)
class Assumptions:
    """Of one image. The first three are the EKS guidance's own (its cost table's footnotes)."""

    #: KiB published for an image: request and notice together. All of it is taken for leaving AWS, as the guidance has
    #: it; the request stays inside, and is more than the API's answer, which has no row of its own.
    request_kib: float = 8.0
    picture_kib: float = 150.0
    #: Months for which pictures stay.
    stored_months: float = 1.0
    #: The full answer (.out) beside the picture: without it ComfyUI's and the WebUI's have 2 to 3 (`tests/fixtures`).
    kept_kib: float = 4.0
    #: Picture and full answer. Contents are items of the table (adr/0015).
    puts: int = 2
    #: SNS into SQS, receive, delete.
    queue_requests: int = 3
    #: Accepted, dispatched, claimed, settled, notified: a KiB each (`tests/unit/test_write_units.py`).
    record_writes: int = 5
    #: Of the index of unfinished tasks: one to come, one to go.
    index_writes: int = 2
    #: Deflated: six of the published 8 KiB become two; those of the guidance's examples have one.
    content_writes: int = 2
    #: Of an instance and of a caller, one each; of the sweeper two halves.
    record_reads: int = 3
    #: Record, index and content.
    record_kib: float = 3.2
    #: Of the function that accepts: memory, and time with its calls of other services: three writes of DynamoDB, one
    #: publish, its own work.
    function_gb: float = 0.5
    function_s: float = 0.06
    #: Whether the table has continuous backups.
    has_backups: bool = True
    #: Share of the requests that X-Ray samples, by the deployment's own rule.
    traced: float = 0.01
    #: Log lines: 0.5 of the function, 0.3 that Lambda adds, 0.7 of the scheduler, 0.3 of the runtime.
    log_kib: float = 1.8
    #: An instance lives so long: a Spot GPU is taken away, or the queue is empty.
    hours_per_launch: float = 8.0
    #: Custom metrics that a fleet reports while it runs, and those of each instance where they are wanted.
    fleet_metrics: int = 20
    instance_metrics: int = 0
    #: Of an instance's agent, in an hour.
    agent_requests: int = 12
    #: GB of the function that scales, which is there as long as there is work.
    scaler_gb: float = 0.25


@dataclass(frozen=True)
class Inventory:
    """What stands in the account while nobody asks for anything."""

    dashboards: int
    #: An alarm is billed for each metric that it looks at.
    alarm_metrics: int
    #: Queues that a function reads.
    event_source_queues: int
    #: Invocations a month by schedules.
    scheduled_invocations: int
    scheduled_gb_seconds: float
    image_gb: float
    snapshot_gb: float
    log_gb: float
    model_gb: float
    nat_gateways: int = 0
    #: One for each endpoint and zone.
    interface_endpoints: int = 0
    #: Beside those of instances: NAT gateways have one each.
    public_addresses: int = 0
    secrets: int = 0
    keys: int = 0
    #: Instances that always run.
    instances: int = 0
    #: Receives a month by schedules, from queues that are nearly always empty.
    scheduled_receives: int = 0


def machine_hour_usd(machine: Machine) -> float:
    """The instance alone, Spot and On-Demand mixed."""
    share = machine.on_demand_percentage / 100
    return machine.on_demand_hour_usd * share + machine.spot_hour_usd * (1 - share)


def gpu_hours(images: int, seconds_per_image: float) -> float:
    return images * seconds_per_image / 3600


def request_items(
    images: int, hours: float, machine: Machine, prices: Prices, assumed: Assumptions, *, has_api: bool
) -> tuple[Item, ...]:
    """The rows of the EKS guidance's table, of this service."""
    millions = images / _MILLION
    stored_gb = images * (assumed.picture_kib + assumed.kept_kib) / _KIB_PER_GIB * assumed.stored_months
    return (
        Item("Amazon EC2", _hours_unit(machine), hours, machine_hour_usd(machine)),
        Item("Amazon API Gateway", "1M REST API requests", millions if has_api else 0.0, prices.api_gateway_million),
        Item("AWS Lambda", "GB-second", images * assumed.function_gb * assumed.function_s, prices.lambda_gb_second),
        Item("AWS Lambda", "1M requests", millions, prices.lambda_million),
        Item("Amazon SNS", "1M requests", 2 * millions, prices.sns_million),
        Item("Amazon SNS", "GB transferred", images * assumed.request_kib / _KIB_PER_GIB, prices.sns_transfer_gb),
        Item("Amazon SQS", "1M requests", assumed.queue_requests * millions, prices.sqs_million),
        Item("Amazon S3", "1K PUT requests", assumed.puts * images / 1000, prices.s3_put_thousand),
        Item("Amazon S3", "GB-month", stored_gb, prices.s3_gb_month),
    )


def further_items(
    images: int,
    hours: float,
    machine: Machine,
    prices: Prices,
    assumed: Assumptions,
    *,
    fleet_hours: float | None = None,
) -> tuple[Item, ...]:
    """What is on the bill too, and what the EKS guidance's table leaves out of its own.

    `fleet_hours`: for so long the fleet had an instance at all, which is when it reports metrics and is scaled. None:
    one instance after the other.
    """
    millions = images / _MILLION
    months = hours / HOURS
    fleet_months = months if fleet_hours is None else fleet_hours / HOURS
    launches = hours / assumed.hours_per_launch
    writes = assumed.record_writes + assumed.index_writes + assumed.content_writes
    recorded_gb = images * assumed.record_kib / _KIB_PER_GIB
    backed_up_gb = recorded_gb if assumed.has_backups else 0.0
    return (
        Item("Amazon DynamoDB", "1M write units", writes * millions, prices.dynamodb_write_million),
        Item("Amazon DynamoDB", "1M read units", assumed.record_reads * millions, prices.dynamodb_read_million),
        Item("Amazon DynamoDB", "GB-month", recorded_gb, prices.dynamodb_gb_month),
        Item("Amazon DynamoDB", "GB-month of backups", backed_up_gb, prices.dynamodb_backup_gb_month),
        Item("Amazon CloudWatch", "GB of logs", images * assumed.log_kib / _KIB_PER_GIB, prices.logs_gb),
        Item(
            "Amazon CloudWatch",
            "custom metric-month",
            assumed.fleet_metrics * fleet_months + assumed.instance_metrics * months,
            prices.custom_metric_month,
        ),
        Item(
            "Amazon CloudWatch",
            "1K requests of agents",
            hours * assumed.agent_requests / 1000,
            prices.metric_put_thousand,
        ),
        Item("AWS X-Ray", "1M traces", assumed.traced * millions, prices.xray_trace_million),
        Item(
            "AWS Lambda",
            "GB-second of the scaler",
            fleet_months * HOURS * 3600 * assumed.scaler_gb,
            prices.lambda_gb_second,
        ),
        Item("Amazon EBS", "GB-month", machine.volume_gib * months, prices.volume_gb_month),
        Item(
            "Amazon EBS",
            "IOPS-month above the included",
            max(0, machine.volume_iops - _INCLUDED_IOPS) * months,
            prices.volume_iops_month,
        ),
        Item(
            "Amazon EBS",
            "MiB/s-month above the included",
            max(0, machine.volume_throughput - _INCLUDED_THROUGHPUT) * months,
            prices.volume_throughput_month,
        ),
        Item(
            "Amazon EBS",
            "GB initialised at a rate",
            launches * machine.initialized_gib,
            prices.volume_initialization_gb,
        ),
        Item(
            "Amazon VPC",
            "hour of a public address",
            hours if machine.has_public_address else 0,
            prices.public_ipv4_hour,
        ),
    )


def fixed_items(inventory: Inventory, machine: Machine, prices: Prices) -> tuple[Item, ...]:
    """A month in which nobody asks for anything."""
    items = (
        Item("Amazon CloudWatch", "dashboard", inventory.dashboards, prices.dashboard_month),
        Item("Amazon CloudWatch", "alarm metric", inventory.alarm_metrics, prices.alarm_metric_month),
        Item("Amazon CloudWatch", "GB-month of logs", inventory.log_gb, prices.logs_gb_month),
        Item("Amazon ECR", "GB-month of container images", inventory.image_gb, prices.ecr_gb_month),
        Item("Amazon EBS", "GB-month of AMI snapshots", inventory.snapshot_gb, prices.snapshot_gb_month),
        Item("Amazon S3", "GB-month of models", inventory.model_gb, prices.s3_gb_month),
        Item(
            "Amazon SQS",
            "1M requests of functions that wait",
            inventory.event_source_queues * _IDLE_POLLS / _MILLION,
            prices.sqs_million,
        ),
        Item("Amazon SQS", "1M requests of schedules", inventory.scheduled_receives / _MILLION, prices.sqs_million),
        Item("AWS Lambda", "GB-second of schedules", inventory.scheduled_gb_seconds, prices.lambda_gb_second),
        Item(
            "AWS Lambda", "1M requests of schedules", inventory.scheduled_invocations / _MILLION, prices.lambda_million
        ),
        Item("Amazon VPC", "hour of a NAT gateway", inventory.nat_gateways * HOURS, prices.nat_gateway_hour),
        Item(
            "Amazon VPC",
            "hour of an endpoint in a zone",
            inventory.interface_endpoints * HOURS,
            prices.interface_endpoint_hour,
        ),
        Item("Amazon VPC", "hour of a public address", inventory.public_addresses * HOURS, prices.public_ipv4_hour),
        Item("AWS Secrets Manager", "secret", inventory.secrets, prices.secret_month),
        Item("AWS KMS", "key", inventory.keys, prices.key_month),
        Item("Amazon EC2", _hours_unit(machine), inventory.instances * HOURS, machine_hour_usd(machine)),
    )
    return tuple(item for item in items if item.quantity)


def eks_guidance_request_items(images: int, seconds_per_image: float) -> tuple[Item, ...]:
    """Its table as printed (seed 001, Cost: April 2024, us-west-2), for other numbers of images and seconds.

    It prints two SNS requests an image and charges one; the total of 226.18 has the one.
    """
    millions = images / _MILLION
    return (
        Item("Amazon EC2", "hour of g5.2xlarge, Spot", gpu_hours(images, seconds_per_image), 0.4968),
        Item("Amazon API Gateway", "1M REST API requests", millions, 3.50),
        Item("AWS Lambda", "GB-second", 12_500 * millions, 0.0000166667),
        Item("AWS Lambda", "1M requests", millions, 0.20),
        Item("Amazon SNS", "1M requests", millions, 0.50),
        Item("Amazon SNS", "GB transferred", 7.62 * millions, 0.09),
        Item("Amazon SQS", "1M requests", 2 * millions, 0.40),
        Item("Amazon S3", "1K PUT requests", 2_000 * millions, 0.005),
        Item("Amazon S3", "GB-month", 143.05 * millions, 0.023),
    )


def eks_guidance_fixed_items() -> tuple[Item, ...]:
    """As printed beside it: without its three NAT gateways."""
    return (
        Item("Amazon EKS", "cluster", 1, 72.00),
        Item("Amazon EC2", "hour of m5.large, On-Demand", 1440, 0.0960),
    )


def total_usd(items: Sequence[Item]) -> float:
    return sum(item.total_usd for item in items)


def _hours_unit(machine: Machine) -> str:
    share = machine.on_demand_percentage
    purchase = {0: "Spot", 100: "On-Demand"}.get(share, f"{share} % On-Demand")
    return f"hour of {machine.instance_type}, {purchase}"
