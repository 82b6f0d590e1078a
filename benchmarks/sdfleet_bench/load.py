"""A sustained load on the request handlers: so many requests each second, answered or not."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from sdfleet.domain.task import RuntimeType
from sdfleet_bench import workload
from sdfleet_bench.load_client import LoadClient
from sdfleet_bench.stubs import handler_environment, stub_aws
from sdfleet_bench.usage import usage_of

#: API Gateway gives up on a function after 29 s.
_PATIENCE_S = 30.0
_WARM_UP_S = 2.0


@dataclass(frozen=True)
class LoadCase:
    requests_per_second: float
    seconds: float
    #: Processes of the handlers, each with one request at a time.
    environments: int
    aws_latency_ms: Mapping[str, float]


@dataclass(frozen=True)
class LoadResult:
    requests: int
    requests_per_second: float
    #: Statuses other than 200, and requests that got no answer.
    errors: dict[str, int]
    #: From the moment a request was due, so that a server that stalls is not excused.
    median_ms: float
    p90_ms: float
    p99_ms: float
    longest_ms: float
    #: What AWS took of each request by the stub's clock, one call after another.
    aws_ms: float
    cpu_ms_per_request: float


def measure(case: LoadCase) -> LoadResult:
    with ExitStack() as running:
        aws = running.enter_context(stub_aws(case.aws_latency_ms))
        environment = {
            "AWS_ENDPOINT_URL": aws.url,
            **workload.deployment(aws.url, RuntimeType.TEST_PATTERN).to_env(),
            **workload.handler_environment(),
        }
        servers = [running.enter_context(handler_environment(environment)) for _ in range(case.environments)]
        ports = [server.port for server in servers]
        # Connections are opened by the first requests.
        asyncio.run(_load(ports, case.requests_per_second, _WARM_UP_S))
        aws.ask("fill", {"items": {}, "messages": {}})
        before = sum(usage_of(server.pid).cpu_seconds for server in servers)
        times_ms, statuses, elapsed_s = asyncio.run(_load(ports, case.requests_per_second, case.seconds))
        cpu_seconds = sum(usage_of(server.pid).cpu_seconds for server in servers) - before
        calls: dict[str, int] = aws.ask("counts")["calls"]
    count = len(times_ms)
    percentiles = statistics.quantiles(times_ms, n=100)
    return LoadResult(
        requests=count,
        requests_per_second=count / elapsed_s,
        errors={status: number for status, number in statuses.items() if status != "200"},
        median_ms=percentiles[49],
        p90_ms=percentiles[89],
        p99_ms=percentiles[98],
        longest_ms=max(times_ms),
        aws_ms=sum(number * _latency_ms(call, case.aws_latency_ms) for call, number in calls.items()) / count,
        cpu_ms_per_request=1000 * cpu_seconds / count,
    )


def _latency_ms(call: str, latencies_ms: Mapping[str, float]) -> float:
    name = "s3" if call.endswith(" object") else "sns" if call == "Publish" else "dynamodb"
    return latencies_ms.get(name, 0.0)


async def _load(ports: list[int], rate: float, seconds: float) -> tuple[list[float], Counter[str], float]:
    times_ms: list[float] = []
    statuses: Counter[str] = Counter()
    client = LoadClient(ports)

    async def request(number: int, due: float) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                statuses[str(await client.post("/v1alpha2", workload.api_request(number)))] += 1
        except (OSError, EOFError) as error:
            statuses[type(error).__name__] += 1
        times_ms.append(1000 * (time.monotonic() - due))

    began = time.monotonic()
    async with asyncio.TaskGroup() as requests:
        for number in range(int(rate * seconds)):
            due = began + number / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            requests.create_task(request(number, due))
    elapsed_s = time.monotonic() - began
    await client.close()
    return times_ms, statuses, elapsed_s
