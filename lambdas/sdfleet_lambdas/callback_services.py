"""What the delivery of callbacks works with; it knows nothing of the deployment beside it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sdfleet.domain import callback
from sdfleet.domain.callback import Target
from sdfleet.ports import CallbackSecret, Clock, TaskQueue
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

    #: The callback queue: the messages in hand wait there for their next try.
    queue: TaskQueue
    keys: SigningKeys = field(repr=False)
    post: Post
    clock: Clock
    named_hosts: Collection[str] = ()
