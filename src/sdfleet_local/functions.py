"""`python -m sdfleet_local.functions`: the process of the handlers, behind the gateway and the event sources.

It reads its deployment from the environment as the handlers do, and `FunctionSettings` beside it.
"""

from __future__ import annotations

import os
from datetime import timedelta

import uvicorn

from sdfleet.aws.clients import Clients
from sdfleet.aws.task_queue import SqsTaskQueue
from sdfleet.domain.spot import RECORD_EVERY
from sdfleet.telemetry import logs
from sdfleet_lambdas import (
    api,
    callbacks,
    composition,
    fleet_scaler,
    rollout_recorder,
    scaler_services,
    spot_prices,
    submission,
    sweeper,
)
from sdfleet_local.event_sources import EventSources, QueueSource, Schedule
from sdfleet_local.fleet_scaler import in_background, while_on
from sdfleet_local.function_settings import FunctionSettings
from sdfleet_local.gateway import Gateway, GatewaySettings
from sdfleet_local.plan import REGION
from sdfleet_local.refresh_events import receiver

#: The rule's rate in the cloud.
SWEEP_EVERY = timedelta(minutes=1)
#: A tenth of the cloud's minute: what is recorded is right within 30 s, events or none, and a rehearsal is short.
RECORD_ROLLOUTS_EVERY = timedelta(seconds=6)
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
        QueueSource(
            SqsTaskQueue(clients.sqs, settings.rollout_events.url),
            settings.rollout_events.arn,
            REGION,
            receiver(rollout_recorder.handler),
        ),
    ]
    schedules = [
        Schedule("sweeper", SWEEP_EVERY, sweeper.handler),
        Schedule("rollout-recorder", RECORD_ROLLOUTS_EVERY, rollout_recorder.handler),
        Schedule("spot-prices", RECORD_EVERY, spot_prices.handler, first_after=SWEEP_EVERY),
    ]
    if settings.scaler_every_s is not None:
        queues.append(
            QueueSource(
                SqsTaskQueue(clients.sqs, settings.wakes.url),
                settings.wakes.arn,
                REGION,
                in_background(fleet_scaler.handler),
            )
        )
        every = timedelta(seconds=settings.scaler_every_s)
        schedules.append(Schedule("fleet-scaler", every, while_on(in_background(fleet_scaler.handler), clients.events)))
    return EventSources(queues, schedules)


def main() -> None:
    logs.configure()
    settings = FunctionSettings.from_env(os.environ)
    # A cold start of nearly a second, out of the first caller's way.
    composition.services()
    gateway = Gateway(GatewaySettings(settings.api_key, settings.rate, settings.burst), api.handler)
    if settings.scaler_every_s is not None:
        scaler_services.scaler_services()
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
