"""`python -m sdfleet_bench.handler_server`: one execution environment of the request handlers.

As Lambda's, it answers one request at a time; so many requests at once are so many environments.
"""

from __future__ import annotations

import asyncio

from sdfleet.telemetry import logs
from sdfleet_bench.loopback_http import StubAnswer, StubRequest, serve
from sdfleet_lambdas import api, composition
from sdfleet_local.proxy_event import HttpRequest, to_event, to_response


async def _answer(request: StubRequest) -> StubAnswer:
    event = to_event(
        HttpRequest(
            method=request.method,
            path=request.path,
            query=request.query,
            headers=tuple(request.headers.items()),
            body=request.body,
            host=request.headers["host"],
            source_ip="127.0.0.1",
        )
    )
    # It blocks the loop, which has nothing else to do.
    response = to_response(api.handler(event, None))
    return StubAnswer(response.status, response.body)


def main() -> None:
    logs.configure("WARNING")
    composition.services()
    asyncio.run(serve(_answer))


if __name__ == "__main__":
    main()
