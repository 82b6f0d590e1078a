"""`--aws-latency-ms`, as every command that has it takes it."""

from __future__ import annotations

import click

from sdfleet.errors import ConfigError
from sdfleet_local.aws_latency import ASSUMED_LATENCY_MS, read_latencies, write_latencies


class AwsLatencies(click.ParamType[dict[str, float]]):
    name = "sqs=MS,sns=MS,s3=MS,dynamodb=MS"

    def convert(
        self, value: str | dict[str, float], param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, float]:
        if isinstance(value, dict):
            return value
        try:
            return read_latencies(value)
        except ConfigError as error:
            self.fail(str(error), param, ctx)


#: What the benchmarks assume unless told otherwise.
ASSUMED = write_latencies(ASSUMED_LATENCY_MS)
