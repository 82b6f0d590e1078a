"""What became of every task, by sets: nothing here knows how the service works, only what it promises."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sdfleet.domain import names
from sdfleet.domain.task import JsonObject, Task, TaskStatus
from sdfleet_local.chaos.evidence import Evidence
from sdfleet_local.chaos.workload import DoubleWorkload, Workload

#: Ends that only lost instances explain, not the runtime.
_ATTEMPTS_SPENT = "attempts_spent"
#: A bug of an adapter: no fault of the storm excuses it.
_NEVER_EXCUSED = frozenset({"internal_error", "content_unavailable", "expired"})


@dataclass(frozen=True)
class Finding:
    task_id: str
    what: str


@dataclass(frozen=True)
class Account:
    accepted: int
    succeeded: int
    #: By code.
    failed: dict[str, int]
    cancelled: int
    #: No single terminal record, no intact result set, or no notice.
    lost: tuple[Finding, ...]
    #: Two different result sets for one run, or two notices that differ.
    duplicated: tuple[Finding, ...]
    #: What no fault explains.
    unexpected: tuple[Finding, ...]
    #: Notices beyond the first that say the same: allowed.
    doubled_notices: int
    poisons: int

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.duplicated or self.unexpected)


def account(evidence: Evidence, workload: Workload | None = None) -> Account:
    """`workload`: knows the tasks' results again; None: those of the runtime double."""
    workload = workload or DoubleWorkload()
    notices: dict[str, list[JsonObject]] = {}
    for notice in evidence.notices:
        notices.setdefault(str(notice.get("id")), []).append(notice)
    folders: dict[str, set[str]] = {}
    for key in evidence.objects:
        folders.setdefault(_task_of(key), set()).add(key)
    ends = [task for task in evidence.records.values() if task.is_terminal]
    return Account(
        accepted=len(evidence.accepted),
        succeeded=sum(task.status is TaskStatus.SUCCEEDED for task in ends),
        failed=dict(Counter(task.error.code for task in ends if task.error and task.status is TaskStatus.FAILED)),
        cancelled=sum(task.status is TaskStatus.CANCELLED for task in ends),
        lost=tuple(_lost(evidence, notices, workload)),
        duplicated=tuple(_duplicated(evidence, notices, folders)),
        unexpected=tuple(_unexpected(evidence, notices, folders)),
        doubled_notices=sum(len(said) - 1 for said in notices.values()),
        poisons=len(evidence.poisons),
    )


def _lost(evidence: Evidence, notices: dict[str, list[JsonObject]], workload: Workload) -> Iterator[Finding]:
    for task_id in sorted(evidence.accepted):
        task = evidence.records.get(task_id)
        if task is None or not task.is_terminal:
            yield Finding(task_id, f"has no end: {task.status if task else 'no record'}")
            continue
        if task_id not in notices:
            yield Finding(task_id, f"{task.status} without a notice")
        if task.status is TaskStatus.SUCCEEDED and (problem := _broken(task, evidence, workload)):
            yield Finding(task_id, problem)
    kept = "\n".join(evidence.dead_letters)
    for poison in evidence.poisons:
        if poison.readable_id is not None and poison.readable_id not in notices:
            yield Finding(poison.mark, "a bad message whose sender was not told")
        if poison.mark not in kept:
            yield Finding(poison.mark, "a bad message that was dropped: no dead letter holds it")


def _broken(task: Task, evidence: Evidence, workload: Workload) -> str | None:
    """What is wrong with the result set of a task that succeeded."""
    if len(task.artifacts) != 1:
        return f"succeeded with {len(task.artifacts)} pictures instead of one"
    data = evidence.objects.get(task.artifacts[0].key)
    if data is None:
        return f"its picture {task.artifacts[0].key} is not in the bucket"
    if not workload.is_picture(task.id, data):
        return "its picture is another task's, or damaged"
    output = evidence.objects.get(names.parse_s3_url(str(task.output_url))[1]) if task.output_url else None
    try:
        fields = json.loads(output or b"")
    except ValueError:
        return "its .out object is missing or no JSON"
    return None if workload.is_output(task, fields) else "its .out object is another task's"


def _duplicated(
    evidence: Evidence, notices: dict[str, list[JsonObject]], folders: dict[str, set[str]]
) -> Iterator[Finding]:
    for task_id, said in sorted(notices.items()):
        if len({_essence(notice) for notice in said}) > 1:
            statuses = ", ".join(str(notice.get("status")) for notice in said)
            yield Finding(task_id, f"its notices differ: {statuses}")
    for task_id, keys in sorted(folders.items()):
        for ending in (".png", ".out"):
            if sum(key.endswith(ending) for key in keys) > 1:
                yield Finding(task_id, f"two result sets: {', '.join(sorted(keys))}")
                break


def _unexpected(
    evidence: Evidence, notices: dict[str, list[JsonObject]], folders: dict[str, set[str]]
) -> Iterator[Finding]:
    for task_id in sorted(evidence.accepted & evidence.records.keys()):
        task = evidence.records[task_id]
        if task.status is TaskStatus.CANCELLED and task_id not in evidence.cancel_asked:
            yield Finding(task_id, "cancelled, though nobody asked for it")
        flaw = evidence.flaws.get(task_id)
        if flaw is not None and task.status is TaskStatus.SUCCEEDED:
            yield Finding(task_id, f"succeeded, though it had to fail ({flaw})")
        if task.status is TaskStatus.FAILED and not _is_explained(task, evidence):
            code = task.error.code if task.error else "no reason"
            met = ", ".join(evidence.runtime_faults.get(task_id, ())) or "none"
            yield Finding(task_id, f"failed ({code}); faults that it met: {met}")
        for notice in notices.get(task_id, ()):
            if not _agrees(notice, task):
                yield Finding(task_id, f"a notice says {notice.get('status')}, the record {task.status}")
    poison_ids = {poison.readable_id for poison in evidence.poisons}
    for task_id in sorted(notices.keys() - evidence.accepted):
        if task_id not in poison_ids:
            yield Finding(task_id, "a notice of an unknown task")
        elif any(notice.get("result") for notice in notices[task_id]):
            yield Finding(task_id, "a bad message that succeeded")
    for task_id in sorted(folders.keys() - evidence.accepted):
        yield Finding(task_id, "results of an unknown task")
    for instance_id in evidence.unended_hangs:
        yield Finding(instance_id, "its runtime hung and was not restarted in time")


def _is_explained(task: Task, evidence: Evidence) -> bool:
    if task.error is not None and task.error.permanent and task.id in evidence.flaws:
        return task.error.code == evidence.flaws[task.id]
    if task.error is None or task.error.permanent or task.error.code in _NEVER_EXCUSED:
        return False
    if task.error.code == _ATTEMPTS_SPENT:
        return True
    # As many faults as attempts, at least: one fault must not cost a task that has more attempts.
    return len(evidence.runtime_faults.get(task.id, ())) >= task.max_attempts


def _agrees(notice: JsonObject, task: Task) -> bool:
    said = {"completed": TaskStatus.SUCCEEDED}.get(str(notice.get("status")), notice.get("status"))
    return said == task.status and notice.get("image_url") == [artifact.url for artifact in task.artifacts]


def _essence(notice: JsonObject) -> str:
    """The notice without the signatures of its links, which are of the moment."""
    links: list[Any] = notice.get("image_link") or []
    return json.dumps({**notice, "image_link": [str(link).split("?")[0] for link in links]}, sort_keys=True)


def _task_of(key: str) -> str:
    """The task whose folder holds the object."""
    return key.split("/")[-2] if "/" in key else key
