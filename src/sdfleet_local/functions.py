"""`python -m sdfleet_local.functions`: the process of the handlers, behind the gateway and the event sources.

It reads its deployment from the environment as the handlers do, and `FunctionSettings` beside it.
"""

from __future__ import annotations

import os
from datetime import timedelta

import uvicorn

from sdfleet.aws.clients import Clients
from sdfleet.aws.task_queue import SqsTaskQueue
from sdfleet.telemetry import logs
from sdfleet_lambdas import api, callbacks, composition, dead_letters, submission, sweeper
from sdfleet_local.event_sources import EventSources, QueueSource, Schedule
from sdfleet_local.function_settings import FunctionSettings
from sdfleet_local.gateway import Gateway, GatewaySettings
from sdfleet_local.plan import REGION

#: The rule's rate in the cloud.
SWEEP_EVERY = timedelta(minutes=1)
#: Above any client's own idle limit: a connection that we close while a request is on its way is a lost request.
KEEP_ALIVE_S = 3600
#: What is being answered when the deployment stops.
SHUTDOWN_GRACE_S = 2


def event_sources(settings: FunctionSettings, clients: Clients) -> EventSources:
    queues = [
        QueueSource(
            SqsTaskQueue(clients.sqs, settings.submissions.url), settings.submissions.arn, REGION, submission.handler
        ),
        QueueSource(
            SqsTaskQueue(clients.sqs, settings.callbacks.url), settings.callbacks.arn, REGION, callbacks.handler
        ),
        *(
            QueueSource(SqsTaskQueue(clients.sqs, queue.url), queue.arn, REGION, dead_letters.handler)
            for queue in settings.dead_letter_queues
        ),
    ]
    return EventSources(queues, [Schedule("sweeper", SWEEP_EVERY, sweeper.handler)])


def main() -> None:
    logs.configure()
    settings = FunctionSettings.from_env(os.environ)
    # A cold start of nearly a second, out of the first caller's way.
    composition.services()
    gateway = Gateway(GatewaySettings(settings.api_key, settings.rate, settings.burst), api.handler)
    sources = event_sources(settings, Clients())
    sources.start()
    uvicorn.run(
        gateway,
        host="127.0.0.1",
        port=settings.port,
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=SHUTDOWN_GRACE_S,
    )


if __name__ == "__main__":
    main()
