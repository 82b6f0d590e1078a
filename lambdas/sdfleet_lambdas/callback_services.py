"""What the delivery of callbacks works with; it knows nothing of the deployment beside it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache, partial

from sdfleet.aws.callback_secret import SsmCallbackSecret
from sdfleet.aws.clients import Clients
from sdfleet.aws.clock import SystemClock
from sdfleet.aws.task_queue import SqsTaskQueue
from sdfleet.domain import callback
from sdfleet.domain.callback import Target
from sdfleet.environment import CallbackEnvironment
from sdfleet.ports import CallbackSecret, Clock, TaskQueue
from sdfleet.telemetry import logs
from sdfleet_lambdas import guarded_post
from sdfleet_lambdas.building import ONE_AT_A_TIME
from sdfleet_lambdas.guarded_post import PostAnswer

#: A secret is read again after this; so long a rotation may take to be seen.
SECRET_LIFETIME = timedelta(minutes=5)

Post = Callable[[Target, Mapping[str, str], bytes], PostAnswer]


class SigningKeys:
    """The deployment's keys, kept for a while."""

    def __init__(self, secret: CallbackSecret, clock: Clock) -> None:
        self._secret = secret
        self._clock = clock
        self._keys: tuple[bytes, ...] = ()
        self._read_at: datetime | None = None
        self._lock = threading.Lock()

    def current(self) -> tuple[bytes, ...]:
        """Raises:
        ServiceUnavailable: they cannot be read.
        ValueError: somebody wrote no secret where one belongs.
        """
        with self._lock:
            now = self._clock.now()
            if self._read_at is None or now - self._read_at >= SECRET_LIFETIME:
                self._keys = callback.read_secrets(self._secret.read())
                self._read_at = now
            return self._keys


@dataclass(frozen=True)
class CallbackServices:
    """What the delivery works with."""

    deployment_id: str
    #: The callback queue: the messages in hand wait there for their next try.
    queue: TaskQueue
    keys: SigningKeys = field(repr=False)
    post: Post
    clock: Clock
    named_hosts: Collection[str] = ()


def callback_services() -> CallbackServices:
    """This process's own, from its environment."""
    with ONE_AT_A_TIME:
        return _callback_services()


@cache
def _callback_services() -> CallbackServices:
    environment = CallbackEnvironment.from_env(os.environ)
    logs.configure(environment.log_level)
    return build_callbacks(environment)


def build_callbacks(environment: CallbackEnvironment) -> CallbackServices:
    clients = Clients()
    clock = SystemClock()
    named_hosts = frozenset(environment.named_hosts)
    return CallbackServices(
        deployment_id=environment.deployment_id,
        queue=SqsTaskQueue(clients.sqs, environment.queue_url),
        keys=SigningKeys(SsmCallbackSecret(clients.ssm, environment.secret_parameter), clock),
        post=partial(guarded_post.post, named_hosts=named_hosts),
        clock=clock,
        named_hosts=named_hosts,
    )
