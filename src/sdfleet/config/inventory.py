"""What a configuration puts into the account, counted for the bill. The template is tested against it."""

from __future__ import annotations

from collections.abc import Sequence

from sdfleet.config.model import Config
from sdfleet.config.network import ZONE_COUNT, Egress
from sdfleet.config.prices import PriceList
from sdfleet.config.regions import is_china
from sdfleet.domain.cost import HOURS, Assumptions, Inventory, Machine
from sdfleet.domain.task import RuntimeType
from sdfleet.errors import ConfigError

#: Metrics that a fleet's alarms read: scale out 1, wake 2, scale in 2; oldest message 2, no instance 2, failures 2,
#: boots 1. Those on a release on trial, six more, are there for the hours of a rollout.
ALARM_METRICS_PER_FLEET = 12
#: Dead letters, and callbacks that were given up; with an API its errors too.
ALARM_METRICS, API_ALARM_METRICS = 2, 1
#: Submissions and callbacks.
EVENT_SOURCE_QUEUES = 2
#: The sweeper and the recorder of rollouts each minute of a month, and the recorder of Spot prices each hour.
SCHEDULED_INVOCATIONS = 2 * HOURS * 60 + HOURS
#: The sweeper asks each dead-letter queue once in a run: the submissions' and each fleet's.
RECEIVES_PER_QUEUE = HOURS * 60
#: GB-seconds of each: 512 MB for two tenths of a second.
SCHEDULED_GB_SECONDS = 0.5 * 0.2
#: Interface endpoints without which an instance cannot work where there is no Internet; S3 and DynamoDB have gateways.
INTERFACE_ENDPOINTS = ("autoscaling", "ecr.api", "ecr.dkr", "logs", "monitoring", "sns", "sqs", "ssm", "ssmmessages")
#: Releases whose images lie in the registry; layers that two of them share are not taken for shared.
KEPT_RELEASES = 2
#: Compressed, of a release. A runtime's: its wheels (`scripts/bench.sh images`: 3.0 and 4.4 GB), Debian's packages, the
#: server itself.
RUNTIME_IMAGE_GB = {RuntimeType.SDWEBUI: 3.5, RuntimeType.COMFYUI: 5.0}
SCHEDULER_IMAGE_GB = 0.2
#: Stored blocks of the stock GPU AMI and the container images, of two releases.
AMI_SNAPSHOT_GB = 60.0
#: What an instance's volume is filled with.
BOOT_GIB = 40.0
#: MiB a second that the price list's figure is for; a slower filling costs as much less (EBS pricing: region's rate x
#: GiB of snapshot x MiB a second).
PRICED_INITIALIZATION_RATE = 300
#: A quiet month's.
LOG_GB = 0.5
#: Stable Diffusion 1.5 (v1-5-pruned-emaonly.safetensors).
MODEL_GB = 4.27
#: What the CloudWatch agent measures on a GPU instance.
INSTANCE_METRICS = 6
#: What the EKS guidance's cost table reckons with.
COMPARED_TYPE = "g5.2xlarge"


def inventory_of(config: Config) -> Inventory:
    """Of a deployment that nobody asks for anything."""
    fleets = len(config.runtimes)
    egress = None if config.network.is_existing else config.network.egress
    built = [runtime.type for runtime in config.runtimes if runtime.images.runtime is None]
    has_pipeline = config.image_pipeline.enabled
    return Inventory(
        dashboards=int(config.dashboard),
        alarm_metrics=ALARM_METRICS + (API_ALARM_METRICS if config.has_api else 0) + fleets * ALARM_METRICS_PER_FLEET,
        event_source_queues=EVENT_SOURCE_QUEUES,
        scheduled_invocations=SCHEDULED_INVOCATIONS,
        scheduled_gb_seconds=SCHEDULED_INVOCATIONS * SCHEDULED_GB_SECONDS,
        image_gb=KEPT_RELEASES * (SCHEDULER_IMAGE_GB + sum(RUNTIME_IMAGE_GB.get(one, 0.0) for one in built)),
        snapshot_gb=AMI_SNAPSHOT_GB * fleets if has_pipeline else 0.0,
        log_gb=LOG_GB,
        model_gb=MODEL_GB if any(runtime.model_filename for runtime in config.runtimes) else 0.0,
        nat_gateways=ZONE_COUNT if egress is Egress.NAT else 0,
        interface_endpoints=ZONE_COUNT * len(INTERFACE_ENDPOINTS) if egress is Egress.ENDPOINTS else 0,
        public_addresses=ZONE_COUNT if egress is Egress.NAT else 0,
        instances=sum(runtime.fleet.min_size for runtime in config.runtimes),
        scheduled_receives=(1 + fleets) * RECEIVES_PER_QUEUE,
    )


def assumptions_of(config: Config) -> Assumptions:
    """Of an image that the first runtime makes, as far as the configuration decides; the rest is assumed."""
    has_traces = config.has_api and not is_china(config.region or "")
    return Assumptions(
        has_backups=config.retention.backup_days is not None,
        traced=config.api_gateway.traced_percentage / 100 if has_traces else 0.0,
        instance_metrics=INSTANCE_METRICS if config.runtimes[0].fleet.instance_metrics else 0,
        agent_requests=3600 // config.runtimes[0].fleet.measurements_sent_s,
    )


def machine_of(config: Config, prices: PriceList, instance_type: str | None = None) -> Machine:
    """The first runtime's instance: `instance_type`, else the one that the EKS guidance reckons with, else the first.

    Raises:
        ConfigError: nothing is known of the type's price, or of any of the fleet's.
    """
    runtime = config.runtimes[0]
    fleet = runtime.fleet
    name = instance_type or _priced(fleet.instance_types, prices)
    if name is None or name not in prices.instances:
        asked = name or f"any of {', '.join(fleet.instance_types)}"
        raise ConfigError(
            f"There is no price for {asked}; there are {', '.join(prices.instances)}, name one with --instance-type,"
            " or bring your own list with --prices."
        )
    price = prices.instances[name]
    volume = fleet.volume
    return Machine(
        instance_type=name,
        spot_hour_usd=price.spot,
        on_demand_hour_usd=price.on_demand,
        on_demand_percentage=fleet.on_demand_percentage,
        volume_gib=volume.size_gib,
        volume_iops=volume.iops or 0,
        volume_throughput=volume.throughput or 0,
        initialized_gib=BOOT_GIB * (volume.initialization_rate or 0) / PRICED_INITIALIZATION_RATE,
        has_public_address=not config.network.is_existing and config.network.egress is Egress.PUBLIC,
    )


def _priced(types: Sequence[str], prices: PriceList) -> str | None:
    if COMPARED_TYPE in types and COMPARED_TYPE in prices.instances:
        return COMPARED_TYPE
    return next((name for name in types if name in prices.instances), None)
