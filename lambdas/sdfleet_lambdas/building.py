"""Services are built by one thread at a time: boto3 must not build clients in two (its guide, Multithreading).

On Lambda one request comes at a time; local mode calls handlers from many threads.
"""

from __future__ import annotations

from threading import Lock

ONE_AT_A_TIME = Lock()
