"""`sdfleet bench`: measures, and prints what it measured on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from sdfleet_bench import comfyui, downloads, handlers, image_weight, load, models, report, scheduler
from sdfleet_cli.aws_latency_option import ASSUMED, AwsLatencies
from sdfleet_cli.console import HELP_NAMES, plain_errors
from sdfleet_local.runtime_probe import checked_url

#: The lengths of an image for which the issue and the two existing services were measured.
IMAGE_SECONDS = (0.0, 0.3, 1.5)
#: A case takes this long at the runtime unless `--tasks` says otherwise, and never fewer or more tasks than these.
CASE_SECONDS = 20.0
FEWEST_TASKS, MOST_TASKS = 20, 200

_json_option = click.option("--json", "is_json", is_flag=True, help="Print one JSON object.")
_latency_option = click.option(
    "--aws-latency-ms",
    type=AwsLatencies(),
    default=ASSUMED,
    show_default=True,
    help="What each call of an AWS service takes.",
)


@click.group(context_settings=HELP_NAMES)
def bench() -> None:
    """Measure the service on this machine."""


@bench.command("scheduler", context_settings=HELP_NAMES)
@click.option("--tasks", type=click.IntRange(min=2), help="Of each case.  [default: 20 s of work, 20 to 200 tasks]")
@click.option(
    "--image-seconds",
    type=click.FloatRange(min=0.0),
    multiple=True,
    default=IMAGE_SECONDS,
    show_default=True,
    help="What the runtime takes for an image; can be repeated.",
)
@_latency_option
@click.option(
    "--aws",
    type=click.Choice(["both", "delayed", "instant"]),
    default="both",
    show_default=True,
    help="Whether the AWS calls take their time.",
)
@click.option("--rounds", type=click.IntRange(min=1), default=1, show_default=True, help="Runs of each case.")
@click.option("--runtime-type", type=click.Choice(["sdwebui", "comfyui"]), default="sdwebui", show_default=True)
@click.option("--runtime-url", metavar="URL", help="A real ComfyUI with the node SdfleetSleep (docs/real-comfyui.md).")
@_json_option
def bench_scheduler(
    tasks: int | None,
    image_seconds: tuple[float, ...],
    aws_latency_ms: dict[str, float],
    aws: str,
    rounds: int,
    runtime_type: str,
    runtime_url: str | None,
    is_json: bool,
) -> None:
    """One scheduler process: throughput, idle GPU, CPU and memory, beside a bare loop on the same runtime."""
    if (runtime_type == "comfyui") != (runtime_url is not None):
        raise click.UsageError("--runtime-type comfyui needs --runtime-url, and the stub WebUI takes none")
    latencies = [latency for latency, skipped in (({}, "delayed"), (aws_latency_ms, "instant")) if aws != skipped]
    with _reported("scheduler", is_json) as results:
        for seconds in image_seconds:
            count = tasks or min(MOST_TASKS, max(FEWEST_TASKS, int(CASE_SECONDS / max(seconds, 0.01))))
            for latency in latencies:
                for _ in range(rounds):
                    if runtime_url is not None:
                        case = comfyui.ComfyUiCase(checked_url(runtime_url), count, seconds, latency)
                        results.append(comfyui.measure(case))
                    else:
                        results.append(scheduler.measure(scheduler.SchedulerCase(seconds, count, latency)))


@bench.command("api", context_settings=HELP_NAMES)
@click.option("--rate", type=click.FloatRange(min=1.0), default=100.0, show_default=True, help="Requests a second.")
@click.option("--duration", type=click.FloatRange(min=1.0), default=60.0, show_default=True, help="Seconds.")
@click.option(
    "--environments",
    type=click.IntRange(min=1, max=64),
    default=8,
    show_default=True,
    help="Processes of the handlers; as in Lambda, each answers one request at a time.",
)
@click.option(
    "--aws-latency-ms",
    type=AwsLatencies(),
    default="sqs=5,sns=5,s3=5,dynamodb=5",
    show_default=True,
    help="What each call of an AWS service takes; a request makes several, one after another.",
)
@_json_option
def bench_api(rate: float, duration: float, environments: int, aws_latency_ms: dict[str, float], is_json: bool) -> None:
    """A sustained load on the request handlers: errors and the distribution of answer times."""
    with _reported("api", is_json) as results:
        results.append(load.measure(load.LoadCase(rate, duration, environments, aws_latency_ms)))


@bench.command("lambda", context_settings=HELP_NAMES)
@click.option("--rounds", type=click.IntRange(min=1), default=11, show_default=True, help="Fresh interpreters.")
@click.option("--requests", type=click.IntRange(min=1), default=300, show_default=True, help="Accepted requests.")
@_latency_option
@_json_option
def bench_lambda(rounds: int, requests: int, aws_latency_ms: dict[str, float], is_json: bool) -> None:
    """The request handlers as a function: import time, package size, CPU of an accepted request."""
    with _reported("lambda", is_json) as results:
        results.append(handlers.measure(rounds=rounds, requests=requests, aws_latency_ms=aws_latency_ms))


@bench.command("models", context_settings=HELP_NAMES)
@click.option(
    "--size-mib",
    type=click.IntRange(min=1),
    default=256,
    show_default=True,
    help="Of each checkpoint; six of them and more must fit on the disk, three in memory.",
)
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True, help="Changes from each source.")
@_json_option
def bench_models(size_mib: int, rounds: int, is_json: bool) -> None:
    """Changing to another checkpoint: from the server's memory, from the disk, from the bucket."""
    with _reported("models", is_json) as results:
        results.extend(models.measure(models.ModelsCase(size_mib, rounds)))


@bench.command("downloads", context_settings=HELP_NAMES)
@click.option("--size-mib", type=click.IntRange(min=1), default=512, show_default=True, help="Of the model.")
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True, help="Downloads of each kind.")
@click.option(
    "--limit-mib-s",
    type=click.FloatRange(min=1.0),
    default=20.0,
    show_default=True,
    help="What one connection gives, where there is a limit.",
)
@click.option(
    "--directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Where files go, such as an instance's NVMe.  [default: where temporary files go]",
)
@_json_option
def bench_downloads(size_mib: int, rounds: int, limit_mib_s: float, directory: Path | None, is_json: bool) -> None:
    """A model's way from S3 to the disk: the scheduler's downloader, one plain stream, and s5cmd if it is installed."""
    with _reported("downloads", is_json) as results:
        results.extend(downloads.measure(downloads.DownloadsCase(size_mib, rounds, limit_mib_s, directory)))


@bench.command("images", context_settings=HELP_NAMES)
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path("scheduler/images"),
    show_default=True,
    help="With a folder for each runtime and its requirements.txt there.",
)
@_json_option
def bench_images(folder: Path, is_json: bool) -> None:
    """What the runtimes' images weigh: the packages in them, as a package index has them. It needs one."""
    with _reported("images", is_json) as results:
        results.extend(image_weight.measure(one) for one in sorted(folder.glob("*/requirements.txt")))


@contextlib.contextmanager
def _reported(benchmark: str, is_json: bool) -> Iterator[list[Any]]:
    """Print what the block adds, with the machine and its load before and after."""
    with plain_errors():
        recording = report.begin(benchmark)
        results: list[Any] = []
        yield results
        finished = recording.end(results)
    click.echo(finished.to_json() if is_json else finished.to_text())
