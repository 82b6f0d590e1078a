"""What became of every task of the rehearsal."""

from __future__ import annotations

import json
import time
from collections.abc import Collection
from dataclasses import dataclass

from sdfleet.domain.task import JsonObject, Task
from sdfleet_cli.rehearsal.load import PatternWorkload
from sdfleet_cli.rehearsal.stage import Stage
from sdfleet_local.chaos.accounting import Account, account
from sdfleet_local.chaos.evidence import Evidence, Records, read_bucket, read_dead_letters
from sdfleet_local.chaos.traffic import bucket_of

#: From the end of the load to the last task's.
SETTLE_WITHIN_S = 120.0
_LOOK_S = 0.5


@dataclass(frozen=True)
class Touched:
    """Tasks that met a broken release, and went well nevertheless."""

    #: That lost a run, and the most that one lost.
    tasks: int
    most_losses: int
    #: That spent an attempt: none of them should on a release on trial.
    spent: int


def close_account(stage: Stage) -> tuple[Account, Touched]:
    """Ends the load, waits for its last task, and looks at everything that it left behind."""
    stage.load.__exit__()
    accepted = frozenset(stage.load.accepted)
    records = Records(stage.clients, dict(stage.outputs))
    end = time.monotonic() + SETTLE_WITHIN_S
    while time.monotonic() < end and (records.unsettled(accepted) or accepted - _told(stage)):
        time.sleep(_LOOK_S)
    records.reload()
    outputs = dict(stage.outputs)
    objects = read_bucket(stage.clients, bucket_of(outputs, "output"))
    evidence = Evidence(
        accepted=accepted,
        cancel_asked=frozenset(),
        poisons=(),
        records={task_id: records.known[task_id] for task_id in accepted if task_id in records.known},
        notices=tuple(notice for notice in _notices(stage) if notice.get("id") in accepted),
        objects={key: data for key, data in objects.items() if any(part in accepted for part in key.split("/"))},
        dead_letters=read_dead_letters(stage.clients, outputs),
        runtime_faults={},
    )
    return account(evidence, PatternWorkload()), touched(evidence.records.values())


def touched(tasks: Collection[Task]) -> Touched:
    return Touched(
        tasks=sum(task.losses > 0 or task.attempt > 1 for task in tasks),
        most_losses=max((task.losses for task in tasks), default=0),
        spent=sum(task.attempt > 1 for task in tasks),
    )


def _notices(stage: Stage) -> list[JsonObject]:
    return [json.loads(body) for body in list(stage.notices.heard)]


def _told(stage: Stage) -> set[str]:
    return {str(notice.get("id")) for notice in _notices(stage)}
