"""A sustained load on the request handlers: so many requests each second, answered or not."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from sdfleet.domain.task import RuntimeType
from sdfleet_bench import workload
from sdfleet_bench.stubs import service, stub_aws
from sdfleet_bench.usage import usage_of
from sdfleet_local.loopback import free_port


@dataclass(frozen=True)
class LoadCase:
    requests_per_second: float
    seconds: float
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
    with stub_aws(case.aws_latency_ms) as aws:
        port = free_port()
        environment = {
            "AWS_ENDPOINT_URL": aws.url,
            workload.PORT_VARIABLE: str(port),
            **workload.deployment(aws.url, RuntimeType.TEST_PATTERN).to_env(),
            **workload.handler_environment(),
        }
        url = f"http://127.0.0.1:{port}"
        with service("sdfleet_bench.handler_server", environment, ready_url=f"{url}/health") as pid:
            # Threads and connections are opened by the first requests.
            asyncio.run(_load(url, case.requests_per_second, 2.0))
            aws.ask("fill", {"items": {}, "messages": {}})
            before = usage_of(pid)
            times_ms, statuses, elapsed_s = asyncio.run(_load(url, case.requests_per_second, case.seconds))
            after = usage_of(pid)
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
        cpu_ms_per_request=1000 * (after.cpu_seconds - before.cpu_seconds) / count,
    )


def _latency_ms(call: str, latencies_ms: Mapping[str, float]) -> float:
    name = "s3" if call.endswith(" object") else "sns" if call == "Publish" else "dynamodb"
    return latencies_ms.get(name, 0.0)


async def _load(url: str, rate: float, seconds: float) -> tuple[list[float], Counter[str], float]:
    times_ms: list[float] = []
    statuses: Counter[str] = Counter()
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(base_url=url, timeout=30.0, limits=limits, trust_env=False) as client:

        async def request(number: int, due: float) -> None:
            try:
                answer = await client.post(
                    "/v1alpha2",
                    content=json.dumps(workload.api_request(number)),
                    headers={"x-api-key": workload.API_KEY, "content-type": "application/json"},
                )
                statuses[str(answer.status_code)] += 1
            except httpx.HTTPError as error:
                statuses[type(error).__name__] += 1
            times_ms.append(1000 * (time.monotonic() - due))

        began = time.monotonic()
        async with asyncio.TaskGroup() as requests:
            for number in range(int(rate * seconds)):
                due = began + number / rate
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                requests.create_task(request(number, due))
        return times_ms, statuses, time.monotonic() - began
