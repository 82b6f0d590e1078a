"""A runtime's machines: which, how many, and when there are more or fewer."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

from pydantic import Field

from sdfleet.config.section import AmiId, InstanceType, Section, SnapshotId, ZoneName
from sdfleet.domain import fleet_observation, scaling

#: Two sizes of each: price-capacity-optimized needs several pools to choose from.
DEFAULT_INSTANCE_TYPES = ("g5.xlarge", "g6.xlarge", "g4dn.xlarge", "g5.2xlarge", "g6.2xlarge", "g4dn.2xlarge")


class AllocationStrategy(StrEnum):
    """Of Spot instances (EC2 Auto Scaling User Guide, Allocation strategies)."""

    PRICE_CAPACITY_OPTIMIZED = "price-capacity-optimized"
    CAPACITY_OPTIMIZED = "capacity-optimized"
    LOWEST_PRICE = "lowest-price"


class VolumeType(StrEnum):
    GP3 = "gp3"
    GP2 = "gp2"
    IO1 = "io1"
    IO2 = "io2"


class ScalingStep(Section):
    """From so many waiting messages on, add so many instances."""

    from_messages: int = Field(ge=0)
    """Waiting messages, inclusive; the step ends below the next one's."""
    add_instances: int = Field(ge=0, le=100)
    """Instances to add each time the queue is found there."""


DEFAULT_STEPS = tuple(
    ScalingStep(from_messages=step.from_messages, add_instances=step.add) for step in scaling.DEFAULT_STEPS.steps
)


class ScalingConfig(Section):
    """When the fleet grows and shrinks. From zero, one waiting message wakes one instance whatever the steps say."""

    steps: tuple[ScalingStep, ...] = Field(default=DEFAULT_STEPS, strict=False, min_length=1, max_length=20)
    """By the queue's depth. The first begins at 0 and adds nothing; Auto Scaling allows 20."""
    warmup_s: int = Field(default=int(scaling.DEFAULT_WARM_UP.total_seconds()), ge=0, le=3600)
    """Seconds from an instance's launch until it counts in full: boot, runtime and model, with room."""
    cooldown_s: int = Field(default=int(scaling.DEFAULT_IDLE_AFTER.total_seconds()), ge=60, le=3600, multiple_of=60)
    """Seconds, in whole minutes, for which nothing may wait or run before the fleet shrinks. A cold start costs
    more."""
    fast_scaler: bool = True
    """Decide within seconds from the queue itself. false: alarms only, which see an idle queue after 1 to 3 minutes."""
    target_queue_s: int = Field(default=int(fleet_observation.DEFAULT_TARGET_QUEUE.total_seconds()), ge=1, le=86_400)
    """Fast scaler: seconds within which what waits is worked off, once new instances have booted. Less is dearer."""
    surplus_idle_s: int = Field(default=int(fleet_observation.DEFAULT_SURPLUS_AFTER.total_seconds()), ge=5, le=3600)
    """Fast scaler: seconds after which an idle instance goes, as long as it is not the last one; that one stays for
    cooldownS."""
    most_boot_failures: int = Field(default=fleet_observation.DEFAULT_MOST_BOOT_FAILURES, ge=1, le=100)
    """Fast scaler: instances in a row that die at boot before no more are launched, but for one every ten minutes."""
    on_demand_fallback_s: int | None = Field(
        default=int(fleet_observation.DEFAULT_FALLBACK_AFTER.total_seconds()), ge=60, le=86_400
    )
    """Fast scaler: seconds without the Spot instances that were asked for, after which On-Demand stands in for those
    that are missing. null: never."""
    on_demand_return_s: int = Field(
        default=int(fleet_observation.DEFAULT_RETURN_AFTER.total_seconds()), ge=300, le=86_400
    )
    """Fast scaler: seconds after which Spot is tried again; sooner when nothing waits."""
    gpu_utilisation_target: int | None = Field(default=None, ge=10, le=95)
    """Percent: also keep the fleet's mean GPU utilisation near it. null: by the queue alone, which is enough for
    most."""

    @property
    def step_table(self) -> scaling.StepTable:
        return scaling.StepTable(tuple(scaling.Step(step.from_messages, step.add_instances) for step in self.steps))

    @property
    def warmup(self) -> timedelta:
        return timedelta(seconds=self.warmup_s)

    @property
    def cooldown(self) -> timedelta:
        return timedelta(seconds=self.cooldown_s)


class VolumeConfig(Section):
    """Each instance's root volume; always encrypted, gone with its instance. Models lie on the instance's own NVMe."""

    size_gib: int = Field(default=80, ge=20, le=16_384)
    """GiB: the GPU AMI, two container images and room to pull a release's new ones."""
    type: VolumeType = Field(default=VolumeType.GP3, strict=False)
    """The EBS volume type."""
    iops: int | None = Field(default=None, ge=100, le=80_000)
    """gp3, io1, io2: operations a second. null: what the price of gp3 includes, 3000."""
    throughput: int | None = Field(default=300, ge=125, le=2_000)
    """gp3: MiB a second; 125 cost nothing extra. Faster than it is initialised it cannot be read at boot."""
    initialization_rate: int | None = Field(default=300, ge=100, le=300)
    """MiB a second at which a new volume is filled from its snapshot, billed per GiB. null: as blocks are read,
    slowly."""
    snapshot_id: SnapshotId | None = None
    """A snapshot of yours, attached as a second volume with the same settings. null: none."""


class FleetConfig(Section):
    """One Auto Scaling group."""

    instance_types: tuple[InstanceType, ...] = Field(
        default=DEFAULT_INSTANCE_TYPES, strict=False, min_length=1, max_length=40
    )
    """GPU types. At least 4, or Spot capacity is a matter of luck; Auto Scaling takes 40. Not set: what the region
    has of the default; in China g4dn."""
    zones: tuple[ZoneName, ...] = Field(default=(), strict=False)
    """Availability zones to launch in. Empty: all zones of the network."""
    min_size: int = Field(default=0, ge=0, le=1_000)
    """Instances that always run. 0: nothing costs anything while nobody asks, and the first request waits for a
    boot."""
    max_size: int = Field(default=5, ge=1, le=1_000)
    """Instances at most; also the bill's upper limit."""
    on_demand_base: int = Field(default=0, ge=0, le=1_000)
    """The first so many instances are On-Demand; the rest follow onDemandPercentage."""
    on_demand_percentage: int = Field(default=0, ge=0, le=100)
    """Percent of the instances above the base that are On-Demand, rounded up by Auto Scaling: any above 0 makes the
    first one On-Demand."""
    allocation_strategy: AllocationStrategy = Field(default=AllocationStrategy.PRICE_CAPACITY_OPTIMIZED, strict=False)
    """How Spot pools are chosen. The default weighs interruptions against price."""
    capacity_rebalance: bool = True
    """Launch a replacement when a Spot instance is at elevated risk, before it is taken away."""
    ami_id: AmiId | None = None
    """An AMI of yours. It must carry the boot files: scripts/build-ami.sh makes such a one, or a recipe of yours with
    the component ami/imagebuilder/components/boot-files.yaml. null: the image pipeline's, or without it AWS's stock
    GPU AMI, which gets the boot files with its start and pulls containers then."""
    instance_metrics: bool = False
    """Have the CloudWatch agent tell GPU, memory and disks for each instance beside the fleet: 6 custom metrics, 1.80
    USD a month for an instance that always runs."""
    scaling: ScalingConfig = ScalingConfig()
    volume: VolumeConfig = VolumeConfig()

    @property
    def measurements_sent_s(self) -> int:
        """Seconds between two calls of an instance's CloudWatch agent, which measures each minute."""
        return 60 if self.scaling.gpu_utilisation_target is not None else 300
