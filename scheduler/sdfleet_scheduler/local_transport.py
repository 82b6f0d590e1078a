"""httpx on aiohttp's connections, for the servers on this machine, which a task asks several times.

httpx's own connections take three times the processor time (docs/benchmarks.md). What lies above them stays httpx's:
requests, answers, errors.
"""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache
from typing import Any

import aiohttp
import httpx
from yarl import URL

#: An answer of half a megabyte is read in one go instead of in eight.
_READ_BUFFER_BYTES = 1024 * 1024


#: A local server is asked for a handful of addresses over and over, and taking one apart takes as long as sending it.
_ADDRESSES = 128


@lru_cache(_ADDRESSES)
def _quoted_already(url: str) -> URL:
    return URL(url, encoded=True)


class LocalTransport(httpx.AsyncBaseTransport):
    """Reads every answer to its end before it returns it. Of httpx's timeouts all but those of writing and waiting for
    a free connection apply."""

    def __init__(self, *, keepalive: timedelta) -> None:
        """`keepalive`: how long a connection may lie idle before it is used again."""
        self._keepalive = keepalive
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        timeout = request.extensions.get("timeout", {})
        body = await request.aread()
        url = request.url
        if url.userinfo and "authorization" in request.headers:
            # aiohttp refuses to have a name and password in both.
            url = url.copy_with(userinfo=b"")
        try:
            async with self._opened().request(
                request.method,
                _quoted_already(str(url)),
                headers=request.headers.multi_items(),
                data=body or None,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(sock_connect=timeout.get("connect"), sock_read=timeout.get("read")),
            ) as answer:
                content = await answer.read()
        except aiohttp.ConnectionTimeoutError as error:
            raise httpx.ConnectTimeout(str(error), request=request) from error
        except aiohttp.ClientConnectorError as error:
            raise httpx.ConnectError(str(error), request=request) from error
        except TimeoutError as error:
            raise httpx.ReadTimeout(str(error), request=request) from error
        except (aiohttp.ClientError, OSError) as error:
            raise httpx.ReadError(str(error), request=request) from error
        return httpx.Response(answer.status, headers=answer.raw_headers, content=content, request=request)

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _opened(self) -> aiohttp.ClientSession:
        # aiohttp wants the loop that runs; this is built before it.
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(keepalive_timeout=self._keepalive.total_seconds(), limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                # httpx does it.
                auto_decompress=False,
                read_bufsize=_READ_BUFFER_BYTES,
            )
        return self._session


class LocalClient(httpx.AsyncClient):
    """httpx's client for servers that neither redirect nor set cookies; a name and password may be in the address."""

    def __init__(self, base_url: str, *, keepalive: timedelta, timeout: httpx.Timeout | float) -> None:
        # A proxy of the environment has no way to this machine's loopback.
        self._local = LocalTransport(keepalive=keepalive)
        super().__init__(base_url=base_url, transport=self._local, timeout=timeout, trust_env=False)
        self._address = lru_cache(_ADDRESSES)(self._whole_address)

    def build_request(self, method: str, url: httpx.URL | str, **parts: Any) -> httpx.Request:
        return super().build_request(method, self._address(url), **parts)

    def _whole_address(self, url: httpx.URL | str) -> httpx.URL:
        return super().build_request("GET", url).url

    async def send(self, request: httpx.Request, **_: Any) -> httpx.Response:
        # What httpx does here for other servers takes as long as the request.
        return await self._local.handle_async_request(request)
