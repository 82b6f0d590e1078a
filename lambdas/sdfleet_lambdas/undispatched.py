"""Finding tasks that were accepted and never published: a crash or an outage came between their record and the topic.

The sweeper's index has an unfinished task by its expiry alone; a nearer time for this would be two more writes of every
task. So each run looks through those that were accepted since the run before, and keeps how far it came: a record is
read once more in a task's life, if it still waits a minute after it was accepted.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from sdfleet.domain.task import TASK_EXPIRY
from sdfleet.domain.transitions import SWEEP_GRACE
from sdfleet_lambdas.composition import Services

#: Records in one look: half a second, forty reads of a hundred.
PAGE = 4_000
#: The index may show a record late; so far back each run begins before the end of the last.
OVERLAP = timedelta(minutes=1)
#: For so long after its acceptance a task that cannot be published is tried in each run. Then it waits for its expiry.
PATIENCE = timedelta(days=1)


def sweep(services: Services, publish: Callable[[str], bool], *, deadline: datetime) -> None:
    """Call `publish` with the id of each; False keeps the place for the next run."""
    began = services.clock.now()
    # Expiries: a task expires as long after its acceptance as any other.
    end = began - SWEEP_GRACE + TASK_EXPIRY
    mark = services.tasks.sweep_mark()
    # What has expired is another's.
    reached = mark - OVERLAP if mark else began
    count = 0
    failed: list[datetime] = []
    while reached < end and services.clock.now() < deadline:
        part = services.tasks.undispatched(after=reached, until=end, limit=PAGE)
        count += part.count
        reached = part.until
        for task in part.undispatched:
            if services.clock.now() >= deadline:
                reached = task.expires_at
                break
            if not publish(task.task_id):
                failed.append(task.expires_at)
    holding = [expires_at for expires_at in failed if began - (expires_at - TASK_EXPIRY) < PATIENCE]
    swept = min([reached, *holding])
    # Without unfinished tasks there is nothing to come back to, and a resting deployment writes nothing.
    if count and (mark is None or swept > mark):
        services.tasks.set_sweep_mark(swept)
