"""`python -m sdfleet_bench.handler_server`: the real handlers behind local mode's gateway, without event sources."""

from __future__ import annotations

import os

import uvicorn

from sdfleet.telemetry import logs
from sdfleet_bench.workload import API_KEY, PORT_VARIABLE
from sdfleet_lambdas import api, composition
from sdfleet_local.gateway import Gateway, GatewaySettings

#: No limit: the load decides.
_RATE = 1_000_000
_KEEP_ALIVE_S = 3600


def main() -> None:
    logs.configure("WARNING")
    composition.services()
    uvicorn.run(
        Gateway(GatewaySettings(API_KEY, _RATE, _RATE), api.handler),
        host="127.0.0.1",
        port=int(os.environ[PORT_VARIABLE]),
        lifespan="off",
        access_log=False,
        log_config=None,
        # A connection that is closed while a request is on its way is an error of the server's, not of the handlers.
        timeout_keep_alive=_KEEP_ALIVE_S,
    )


if __name__ == "__main__":
    main()
