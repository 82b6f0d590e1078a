from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from sdfleet.domain import transitions
from sdfleet.domain.task import Task
from service_harness import MODEL, MODEL_BUCKET, Harness, a_request


@pytest.fixture
def harness() -> Harness:
    return Harness()


def ended(task: Task) -> Task:
    return transitions.cancelled(task, run=task.run, now=task.created_at)


def inbox_content(harness: Harness, task_id: str = "test-t2i") -> Any:
    return json.loads(harness.services.inbox.get(harness.task(task_id), max_bytes=10**7))


def test_an_accepted_task_is_recorded_published_and_marked(harness: Harness) -> None:
    harness.post(a_request(context={"abc": 123}))

    task = harness.task()
    (sent,) = harness.requests.published
    assert sent.attributes == {"runtime": "sdruntime", "accepted": "1"}
    assert json.loads(sent.body)["metadata"]["run"] == task.run
    assert task.dispatched_at == harness.clock.now()
    assert task.context == {"abc": 123}


def test_the_content_is_kept_beside_the_record(harness: Harness) -> None:
    harness.submit()
    assert inbox_content(harness)["prompt"] == "A dog"


def test_an_id_is_made_for_a_caller_without_one(harness: Harness) -> None:
    answer = harness.post(a_request(id=None))
    assert answer.body["id_task"] == answer.body["id"]
    assert harness.task(answer.body["id"]).status == "queued"


def test_two_requests_without_ids_are_two_tasks(harness: Harness) -> None:
    assert harness.submit(id=None) != harness.submit(id=None)


def test_a_trailing_slash_is_the_same_path(harness: Harness) -> None:
    assert harness.post(a_request(), "/v1alpha2/").status == 200


def test_a_content_above_the_limit_of_sns_travels_by_its_location(harness: Harness) -> None:
    harness.post(a_request({"prompt": "x" * 300_000}))

    message = json.loads(harness.requests.published[0].body)
    assert message["content_location"] == harness.task().content_location
    assert "content" not in message


def test_the_same_id_and_content_is_the_same_task_while_it_is_unfinished(harness: Harness) -> None:
    first = harness.post(a_request())
    second = harness.post(a_request())

    assert second.body == first.body
    assert len(harness.requests.published) == 1


def test_the_same_id_with_other_content_conflicts_while_it_is_unfinished(harness: Harness) -> None:
    harness.submit()
    answer = harness.post(a_request({"prompt": "A cat"}))

    assert answer.status == 409
    assert len(harness.requests.published) == 1


def test_the_same_id_after_the_end_is_a_new_run(harness: Harness) -> None:
    harness.submit()
    harness.change(ended)

    assert harness.post(a_request({"prompt": "A cat"})).status == 200
    assert len(harness.published_runs()) == 2
    assert not harness.task().is_terminal


def test_a_notice_that_never_went_out_goes_out_before_its_record_is_replaced(harness: Harness) -> None:
    harness.submit()
    harness.change(ended)

    harness.submit()

    assert [notice["status"] for notice in harness.notices()] == ["cancelled"]


def test_an_announced_end_is_not_announced_again_by_a_new_run(harness: Harness) -> None:
    harness.submit()
    harness.change(ended)
    harness.change(lambda task: transitions.notified(task, run=task.run, now=harness.clock.now()))

    harness.submit()

    assert harness.notices() == []


def test_an_idempotency_key_never_runs_twice_within_a_day(harness: Harness) -> None:
    first = harness.post(a_request(id=None), idempotency_key="k-1")
    harness.change(ended, first.body["id"])
    harness.clock.advance(timedelta(hours=23))
    second = harness.post(a_request(id=None), idempotency_key="k-1")

    assert second.body == first.body
    assert len(harness.published_runs()) == 1


def test_an_idempotency_key_answers_the_same_after_another_run_took_its_id(harness: Harness) -> None:
    first = harness.post(a_request(), idempotency_key="k-1")
    harness.change(ended)
    harness.submit()
    second = harness.post(a_request(), idempotency_key="k-1")

    assert second.body == first.body
    assert len(harness.published_runs()) == 2


def test_an_idempotency_key_stands_for_a_run_that_began_without_it(harness: Harness) -> None:
    harness.post(a_request())
    harness.post(a_request(), idempotency_key="k-1")
    harness.change(ended)
    harness.post(a_request(), idempotency_key="k-1")

    assert len(harness.published_runs()) == 1


def test_an_idempotency_key_is_free_again_after_a_day(harness: Harness) -> None:
    first = harness.post(a_request(id=None), idempotency_key="k-1")
    harness.clock.advance(timedelta(days=1, seconds=1))
    second = harness.post(a_request(id=None), idempotency_key="k-1")

    assert second.body["id"] != first.body["id"]


def test_an_idempotency_key_with_other_content_conflicts(harness: Harness) -> None:
    harness.post(a_request(id=None), idempotency_key="k-1")
    answer = harness.post(a_request({"prompt": "A cat"}, id=None), idempotency_key="k-1")

    assert answer.status == 409
    assert "Idempotency-Key" in answer.body["detail"]


def test_an_idempotency_key_with_another_id_conflicts(harness: Harness) -> None:
    harness.post(a_request(id="a"), idempotency_key="k-1")
    assert harness.post(a_request(id="b"), idempotency_key="k-1").status == 409


@pytest.mark.parametrize("key", ["", "x" * 256, "snow\N{SNOWMAN}"])
def test_a_bad_idempotency_key_is_named(harness: Harness, key: str) -> None:
    answer = harness.post(a_request(id="a b"), idempotency_key=key)
    assert answer.bad_paths == ["task.metadata.id", "Idempotency-Key"]


def test_the_model_choice_moves_to_the_override_settings(harness: Harness) -> None:
    harness.post(a_request({"alwayson_scripts": {"sd_model_checkpoint": MODEL, "controlnet": {}}, "prompt": "x"}))

    assert inbox_content(harness) == {
        "alwayson_scripts": {"controlnet": {}},
        "prompt": "x",
        "override_settings": {"sd_model_checkpoint": MODEL},
    }


@pytest.mark.parametrize("name", [MODEL, "v1-5-pruned-emaonly", f"{MODEL} [6ce0161689]"])
def test_a_static_runtime_takes_its_own_model_by_any_of_its_names(harness: Harness, name: str) -> None:
    answer = harness.post(a_request({"override_settings": {"sd_model_checkpoint": name}}))
    assert answer.status == 200


def test_v1alpha1_goes_to_the_runtime_of_its_model(harness: Harness) -> None:
    answer = harness.post({"alwayson_scripts": {"task": "text-to-image", "sd_model_checkpoint": MODEL}}, "/v1alpha1")

    assert harness.task(answer.body["id_task"]).runtime == "sdruntime"


def test_v1alpha1_with_another_model_goes_to_a_dynamic_runtime(harness: Harness) -> None:
    harness.artifacts.put(f"s3://{MODEL_BUCKET}/Stable-diffusion/new.safetensors", b"w", content_type="x/y")
    body = {"alwayson_scripts": {"task": "text-to-image", "sd_model_checkpoint": "new.safetensors"}}

    answer = harness.post(body, "/v1alpha1")

    assert harness.task(answer.body["id_task"]).runtime == "sddynamic"


def test_v1alpha1_takes_its_routing_fields_out(harness: Harness) -> None:
    body = {
        "alwayson_scripts": {
            "task": "text-to-image", "sd_model_checkpoint": MODEL, "id_task": "a", "uid": "u", "sd_vae": "v.pt",
            "save_dir": "d", "controlnet": {},
        },
        "prompt": "x",
    }  # fmt: skip
    harness.post(body, "/v1alpha1")

    assert inbox_content(harness, "a") == {
        "prompt": "x",
        "alwayson_scripts": {"controlnet": {}},
        "override_settings": {"sd_model_checkpoint": MODEL, "sd_vae": "v.pt"},
    }


def test_the_same_task_through_the_other_version_is_answered_in_that_versions_form(harness: Harness) -> None:
    settings = {"override_settings": {"sd_model_checkpoint": MODEL}, "alwayson_scripts": {}, "prompt": "x"}
    harness.post(a_request(settings, id="a"))
    body = {
        "alwayson_scripts": {"task": "text-to-image", "sd_model_checkpoint": MODEL, "id_task": "a"}, "prompt": "x"
    }  # fmt: skip

    answer = harness.post(body, "/v1alpha1")

    assert answer.body["sd_model_checkpoint"] == MODEL
    assert len(harness.requests.published) == 1


def test_a_custom_runtimes_content_is_its_own_business(harness: Harness) -> None:
    content = {"anything": ["goes", 1], "1": {"class_type": "no workflow at all"}}
    assert harness.post(a_request(content, runtime="custom", tasktype="pipeline")).status == 200


def test_a_workflow_may_come_as_a_body_for_comfyuis_prompt_route(harness: Harness) -> None:
    graph = {"1": {"class_type": "EmptyImage", "inputs": {}}}
    answer = harness.post(a_request({"prompt": graph}, runtime="comfy", tasktype="pipeline"))
    assert answer.status == 200
