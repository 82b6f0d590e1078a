"""What is kept and for how long, who is told when, and how AMIs are made."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sdfleet.config.section import BucketName, InstanceType, Kind, Section

#: CloudWatch Logs knows no others (API Reference, PutRetentionPolicy).
LOG_DAYS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)


_LogDays = Annotated[
    int, Kind(f"one of CloudWatch's {', '.join(map(str, LOG_DAYS))}", LOG_DAYS.__contains__, {"enum": [*LOG_DAYS]})
]


class OutputsConfig(Section):
    """Where pictures go and how they are fetched."""

    bucket_name: BucketName | None = None
    """An existing bucket for outputs; its lifecycle rules stay yours. null: a new one, which a removal of the stack
    keeps."""
    retention_days: int | None = Field(default=None, ge=1, le=3_650)
    """Days after which outputs are deleted. null: never; they are billed as long as they stay."""
    cdn: bool | None = None
    """Signed links through CloudFront. null: yes, but not in China, where it needs an ICP domain, nor with a
    bucketName, whose policy stays yours. false: signed S3 links."""


class RetentionConfig(Section):
    """How long what is not a picture is kept."""

    log_days: _LogDays = 30
    """Days that logs are kept; only CloudWatch's own steps. Task records live 30 days too."""
    backup_days: int | None = Field(default=7, ge=1, le=35)
    """Days to any second of which the table of task records can be restored; prompts are in it. 0.20 USD a GB-month,
    however many days. null: never."""


class AlarmsConfig(Section):
    """When the alarm topic, and with it alarmEmail, is told. Each alarm costs 0.10 USD a month."""

    dead_letters: int = Field(default=1, ge=1)
    """Dead-lettered messages within 5 minutes. One is one too many: nothing is meant to end there."""
    oldest_message_s: int = Field(default=900, ge=60, le=1_209_600)
    """Seconds that the oldest message may wait: three cold starts."""
    failure_percentage: int = Field(default=10, ge=1, le=100)
    """Percent of a quarter of an hour's tasks that may fail. Wrong requests of callers count too."""
    no_instance_s: int = Field(default=600, ge=60, le=86_400)
    """Seconds that work may wait while no instance is healthy: no capacity, or instances that do not boot."""
    api_error_percentage: int = Field(default=5, ge=1, le=100)
    """Percent of 5 minutes' API requests that may end in a 5xx."""


class ImagePipelineConfig(Section):
    """EC2 Image Builder: an AMI with both container images in it, so that an instance starts without pulling them."""

    enabled: bool = False
    """Make the stack with the pipeline. It costs its AMI's snapshot and, while it builds, an instance."""
    instance_type: InstanceType = "g4dn.xlarge"
    """What it builds and tests on; the test needs a GPU."""
