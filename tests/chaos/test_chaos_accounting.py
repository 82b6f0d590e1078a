"""What the fault tester calls lost, duplicated and unexpected."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from builders import NOON, a_task
from sdfleet.domain.task import Artifact, Failure, Task, TaskStatus
from sdfleet.domain.wire import answers
from sdfleet_local.chaos.accounting import Account, account
from sdfleet_local.chaos.evidence import Evidence
from sdfleet_local.chaos.runtime_double import picture_of
from sdfleet_local.chaos.traffic import Poison

PICTURE = "output/one/one-abcd-1.png"
OUTPUT = "output/one/one-abcd.out"


def a_succeeded_task() -> Task:
    artifact = Artifact(PICTURE, f"s3://sdfleet-local-output/{PICTURE}", "image/png", 1)
    return replace(
        a_task(id="one"),
        status=TaskStatus.SUCCEEDED,
        artifacts=(artifact,),
        output_url=f"s3://sdfleet-local-output/{OUTPUT}",
        notified_at=NOON,
    )


def a_failed_task(code: str = "runtime_error", *, permanent: bool = False) -> Task:
    error = Failure(code, "It failed.", permanent)
    return replace(a_task(id="one"), status=TaskStatus.FAILED, error=error, notified_at=NOON)


def notice_of(task: Task, **changes: Any) -> dict[str, Any]:
    return {**json.loads(answers.notice(task)), **changes}


def the_evidence(task: Task, **changes: Any) -> Evidence:
    objects = {PICTURE: picture_of("one"), OUTPUT: json.dumps({"output": {"task_id": "one"}}).encode()}
    evidence = Evidence(
        accepted=frozenset({"one"}),
        cancel_asked=frozenset(),
        poisons=(),
        records={"one": task},
        notices=(notice_of(task),),
        objects=objects if task.status is TaskStatus.SUCCEEDED else {},
        dead_letters=(),
        runtime_faults={},
    )
    return replace(evidence, **changes)


def counts(found: Account) -> tuple[int, int, int]:
    return len(found.lost), len(found.duplicated), len(found.unexpected)


def test_a_whole_result_with_one_notice_is_clean() -> None:
    found = account(the_evidence(a_succeeded_task()))
    assert found.is_clean
    assert (found.accepted, found.succeeded, found.doubled_notices) == (1, 1, 0)


def test_a_task_without_an_end_is_lost() -> None:
    assert counts(account(the_evidence(a_task(id="one"), notices=()))) == (1, 0, 0)


def test_a_task_without_a_record_is_lost() -> None:
    assert counts(account(the_evidence(a_succeeded_task(), records={}, notices=(), objects={}))) == (1, 0, 0)


def test_an_end_without_a_notice_is_lost() -> None:
    assert counts(account(the_evidence(a_succeeded_task(), notices=()))) == (1, 0, 0)


def test_a_missing_picture_is_lost() -> None:
    whole = the_evidence(a_succeeded_task())
    assert counts(account(replace(whole, objects={OUTPUT: whole.objects[OUTPUT]}))) == (1, 0, 0)


def test_another_tasks_picture_is_lost() -> None:
    whole = the_evidence(a_succeeded_task())
    assert counts(account(replace(whole, objects={**whole.objects, PICTURE: picture_of("two")}))) == (1, 0, 0)


def test_a_missing_answer_of_the_runtime_is_lost() -> None:
    whole = the_evidence(a_succeeded_task())
    assert counts(account(replace(whole, objects={PICTURE: whole.objects[PICTURE]}))) == (1, 0, 0)


def test_two_result_sets_are_a_duplicate() -> None:
    whole = the_evidence(a_succeeded_task())
    second = {"output/one/one-wxyz-1.png": picture_of("one")}
    assert counts(account(replace(whole, objects={**whole.objects, **second}))) == (0, 1, 0)


def test_the_same_notice_twice_is_allowed_and_counted() -> None:
    task = a_succeeded_task()
    links = [{"image_link": [f"http://127.0.0.1/{PICTURE}?signature={n}"]} for n in range(2)]
    found = account(the_evidence(task, notices=tuple(notice_of(task, **link) for link in links)))
    assert found.is_clean
    assert found.doubled_notices == 1


def test_two_notices_that_differ_are_a_duplicate() -> None:
    task = a_succeeded_task()
    both = (notice_of(task), notice_of(a_failed_task()))
    assert counts(account(the_evidence(task, notices=both))) == (0, 1, 1)


def test_a_failure_that_no_fault_explains_is_unexpected() -> None:
    assert counts(account(the_evidence(a_failed_task()))) == (0, 0, 1)


def test_as_many_faults_as_attempts_explain_a_failure() -> None:
    task = a_failed_task()
    met = {"one": ["runtime-errors"] * task.max_attempts}
    found = account(the_evidence(task, runtime_faults=met))
    assert found.is_clean
    assert found.failed == {"runtime_error": 1}


def test_nothing_explains_a_permanent_failure() -> None:
    met = {"one": ["runtime-errors"] * 9}
    assert counts(account(the_evidence(a_failed_task(permanent=True), runtime_faults=met))) == (0, 0, 1)


def test_a_cancel_that_nobody_asked_for_is_unexpected() -> None:
    task = replace(a_task(id="one"), status=TaskStatus.CANCELLED, notified_at=NOON)
    assert counts(account(the_evidence(task))) == (0, 0, 1)
    assert account(the_evidence(task, cancel_asked=frozenset({"one"}))).is_clean


def test_notices_and_results_of_unknown_tasks_are_unexpected() -> None:
    task = a_succeeded_task()
    whole = the_evidence(task)
    stranger = notice_of(task, id="stranger")
    strange = {"output/stranger/stranger-abcd-1.png": b""}
    found = account(replace(whole, notices=(*whole.notices, stranger), objects={**whole.objects, **strange}))
    assert counts(found) == (0, 0, 2)


def test_a_bad_message_is_owed_a_dead_letter_and_its_sender_a_notice() -> None:
    task = a_succeeded_task()
    poison = Poison("poison-1", readable_id="poison-1")
    assert counts(account(the_evidence(task, poisons=(poison,)))) == (2, 0, 0)
    told = notice_of(a_failed_task(), id="poison-1")
    answered = the_evidence(task, poisons=(poison,), notices=(notice_of(task), told), dead_letters=("poison-1",))
    assert account(answered).is_clean
