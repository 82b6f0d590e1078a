"""The one file a user edits, as a model: `load(path)`. Never in the Lambda package (pydantic's cold start)."""

from sdfleet.config.api import DomainNameConfig, InputsConfig
from sdfleet.config.fleet import AllocationStrategy, FleetConfig, ScalingConfig, ScalingStep, VolumeConfig, VolumeType
from sdfleet.config.loading import load
from sdfleet.config.model import Config
from sdfleet.config.network import Egress, NetworkConfig
from sdfleet.config.operations import AlarmsConfig, ImagePipelineConfig, OutputsConfig, RetentionConfig
from sdfleet.config.regions import is_china, load_for, partition_of, placed
from sdfleet.config.runtime import ImagesConfig, PinnedRepository, RuntimeConfig

__all__ = [
    "AlarmsConfig",
    "AllocationStrategy",
    "Config",
    "DomainNameConfig",
    "Egress",
    "FleetConfig",
    "ImagePipelineConfig",
    "ImagesConfig",
    "InputsConfig",
    "NetworkConfig",
    "OutputsConfig",
    "PinnedRepository",
    "RetentionConfig",
    "RuntimeConfig",
    "ScalingConfig",
    "ScalingStep",
    "VolumeConfig",
    "VolumeType",
    "is_china",
    "load",
    "load_for",
    "partition_of",
    "placed",
]
