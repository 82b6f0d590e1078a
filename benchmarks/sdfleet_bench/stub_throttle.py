"""`python -m sdfleet_bench.stub_throttle`: a loopback port before another, each connection of which has its limit.

As S3 has: one connection gives so many megabytes a second, whatever the network takes.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time

import click

MIB = 1024 * 1024
#: Small enough that a limit of a few MiB a second is felt evenly.
_CHUNK_BYTES = 128 * 1024


async def serve(target_port: int, bytes_per_second: float) -> None:
    """On a free port, which is printed as the first line, until the process ends."""
    # asyncio keeps no task that waits for nothing but its own stream.
    running = set()

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        running.add(task)
        # Either side may leave in the middle of anything.
        with contextlib.suppress(ConnectionError):
            from_target, to_target = await asyncio.open_connection("127.0.0.1", target_port)
            requests = asyncio.create_task(_pass_on(reader, to_target, None))
            try:
                await _pass_on(from_target, writer, bytes_per_second)
            finally:
                requests.cancel()
                await asyncio.gather(requests, return_exceptions=True)
                to_target.close()
        writer.close()
        running.discard(task)

    server = await asyncio.start_server(connection, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, bytes_per_second: float | None) -> None:
    """To the end of the stream. An idle time saves nothing up."""
    free_at = time.monotonic()
    while chunk := await reader.read(_CHUNK_BYTES):
        writer.write(chunk)
        await writer.drain()
        if bytes_per_second is not None:
            free_at = max(free_at, time.monotonic() - _CHUNK_BYTES / bytes_per_second) + len(chunk) / bytes_per_second
            await asyncio.sleep(max(0.0, free_at - time.monotonic()))


@click.command()
@click.option("--target-port", type=int, required=True)
@click.option("--mib-per-second", type=float, required=True)
def main(target_port: int, mib_per_second: float) -> None:
    asyncio.run(serve(target_port, mib_per_second * MIB))


if __name__ == "__main__":
    main()
