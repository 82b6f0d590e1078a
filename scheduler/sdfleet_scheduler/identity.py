"""Who this instance is: its own word from the metadata service, never a moving pointer."""

from __future__ import annotations

from dataclasses import dataclass

from sdfleet.errors import ServiceUnavailable
from sdfleet.telemetry import logs
from sdfleet_scheduler import metadata
from sdfleet_scheduler.metadata import InstanceMetadata

log = logs.get_logger(__name__)


@dataclass(frozen=True)
class Identity:
    instance_id: str
    release: str


async def identify(service: InstanceMetadata, *, fallback_instance_id: str) -> Identity:
    """Id and release of this instance; off EC2 the fallback and `unreleased`."""
    try:
        instance_id = await service.read(metadata.INSTANCE_ID)
        release = await service.read(metadata.RELEASE_TAG)
    except ServiceUnavailable as error:
        log.warning("metadata.unavailable", reason=str(error), instance_id=fallback_instance_id)
        return Identity(fallback_instance_id, "unreleased")
    return Identity(instance_id or fallback_instance_id, release or "unreleased")
