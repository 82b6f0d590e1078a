"""The HTTP connection to a runtime's server on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import httpx

from sdfleet_scheduler.local_transport import LocalClient
from sdfleet_scheduler.runtimes.base import RuntimeFailure

#: The server is on this machine: it accepts at once or not at all.
CONNECT_TIMEOUT = timedelta(seconds=5)
#: The WebUI closes an idle connection after 5 s. Reusing one in that moment loses the request, and nobody could say
#: whether it had begun: let go of it well before.
KEEPALIVE = timedelta(seconds=3)


def local_client(base_url: str) -> httpx.AsyncClient:
    """A client without a read timeout: how long a job may take is its task's affair."""
    timeout = httpx.Timeout(None, connect=CONNECT_TIMEOUT.total_seconds())
    return LocalClient(base_url, keepalive=KEEPALIVE, timeout=timeout)


@contextmanager
def translated(client: httpx.AsyncClient) -> Iterator[None]:
    """Turns httpx's errors into `RuntimeFailure.lost`."""
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise RuntimeFailure.lost(
            f"No runtime answers at {address(client)}. It is not running, or still starting; look at its log."
        ) from error
    except httpx.TimeoutException as error:
        raise RuntimeFailure.lost(f"The runtime at {address(client)} accepts requests but does not answer.") from error
    except httpx.RequestError as error:
        raise RuntimeFailure.lost(
            f"The runtime at {address(client)} closed the connection in the middle of a request"
            f" ({type(error).__name__}). It has probably died; look at its log."
        ) from error


def address(client: httpx.AsyncClient) -> str:
    """The server's address without the user name and password that its URL may hold."""
    return str(client.base_url.copy_with(userinfo=b"")).rstrip("/")
