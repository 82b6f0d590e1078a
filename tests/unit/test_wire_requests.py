from __future__ import annotations

import json
import string
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdfleet.domain import names
from sdfleet.domain.task import ApiVersion, OutputFormat, TaskOptions, TaskType
from sdfleet.domain.wire.draft import Draft
from sdfleet.domain.wire.reader import MAX_DEPTH, parse_object
from sdfleet.domain.wire.requests import (
    fingerprint,
    read_direct_message,
    read_task_api,
    read_v1alpha1,
    read_v1alpha2,
)  # fmt: skip
from sdfleet.errors import FieldError, InvalidRequest
from texts_for_tests import texts

scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts(max_size=8)
json_values = st.recursive(
    scalars | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(max_size=8), inner, max_size=3),
    max_leaves=8,
)
json_objects = st.dictionaries(texts(max_size=8), json_values, max_size=4)
anything = scalars | st.lists(scalars, max_size=2) | st.dictionaries(texts(max_size=3), scalars, max_size=2)


def holding(*keys: str, **shaped: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Anything, or an object in which each key holds anything; a shaped one mostly its shape."""
    fields = {**dict.fromkeys(keys, anything), **shaped}
    return anything | st.fixed_dictionaries({}, optional=fields)


_scripts = holding(
    "task", "sd_model_checkpoint", "sd_vae", "id_task", "save_dir", "image_link", override_settings=anything
)  # fmt: skip
_content = holding("prompt", "init_images", override_settings=holding("sd_model_checkpoint"), alwayson_scripts=_scripts)
_metadata = holding(
    "id", "runtime", "tasktype", "prefix", "context", "callback_url", "priority", "timeout_s", "output_format", "group"
)  # fmt: skip
#: Objects with the keys that the readers look for, holding anything.
hostile = st.fixed_dictionaries(
    {},
    optional={
        "task": anything,
        "metadata": _metadata,
        "content": _content,
        "alwayson_scripts": _scripts,
        "override_settings": anything,
        "init_images": anything,
        "api": st.just("/sdapi/v1/txt2img") | anything,
        "payload": _content,
    },
)
ids = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=128)
few = settings(max_examples=20, deadline=None)


def v1alpha2(content: Any = None, **metadata: Any) -> dict[str, Any]:
    named = {"runtime": "sdruntime", "tasktype": "text-to-image", **metadata}
    return {"task": {"metadata": named, "content": {} if content is None else content}}


def paths(draft: Draft) -> list[str]:
    return [error.path for error in draft.errors]


@few
@given(body=hostile, attributes=st.dictionaries(st.sampled_from(["runtime", "sd_model_checkpoint"]), texts()))
def test_no_body_breaks_a_reader(body: dict[str, Any], attributes: dict[str, str]) -> None:
    wrapped = {"task": body}
    for draft in (
        read_v1alpha2(wrapped),
        read_v1alpha1(body),
        read_task_api(body),
        read_direct_message(body, attributes),
        read_direct_message(wrapped, attributes),
    ):
        assert len(set(draft.errors)) == len(draft.errors)
        if not draft.errors:
            draft.submission()


@few
@given(body=hostile)
def test_a_reader_never_changes_what_it_reads(body: dict[str, Any]) -> None:
    before = json.dumps(body)
    read_v1alpha2({"task": body})
    read_v1alpha1(body)
    read_task_api(body)
    assert json.dumps(body) == before


@few
@given(
    task_id=st.none() | ids,
    tasktype=st.sampled_from(TaskType),
    context=json_values,
    priority=st.integers(0, 9),
    output_format=st.none() | st.sampled_from(OutputFormat),
)
def test_v1alpha2_reads_back_what_was_written(
    task_id: str | None, tasktype: TaskType, context: Any, priority: int, output_format: OutputFormat | None
) -> None:
    body = v1alpha2(
        {"prompt": "x"}, id=task_id, tasktype=tasktype, context=context, priority=priority, output_format=output_format
    )
    submission = read_v1alpha2(json.loads(json.dumps(body))).submission()
    assert (submission.id, submission.tasktype, submission.context) == (task_id, tasktype, context)
    assert submission.options == TaskOptions(priority=priority, output_format=output_format)
    assert submission.prefix == "output"


@few
@given(prefix=texts(max_size=30))
def test_an_accepted_prefix_is_a_path_inside_the_bucket(prefix: str) -> None:
    draft = read_v1alpha2(v1alpha2(prefix=prefix))
    if draft.errors:
        assert paths(draft) == ["task.metadata.prefix"]
        return
    parts = draft.prefix.split("/")
    assert not {"", ".", ".."} & set(parts)
    assert not any(character < " " for character in draft.prefix)


@few
@given(task_id=texts(max_size=140))
def test_an_accepted_id_is_safe_in_a_key(task_id: str) -> None:
    draft = read_v1alpha2(v1alpha2(id=task_id))
    assert bool(draft.errors) == (names.TASK_ID.fullmatch(task_id) is None)


def test_a_draft_with_errors_is_no_submission() -> None:
    draft = read_v1alpha2(v1alpha2()).refused([FieldError("a", "b"), FieldError("a", "b")])
    with pytest.raises(InvalidRequest) as raised:
        draft.submission()
    assert raised.value.errors == (FieldError("a", "b"),)


def test_a_near_miss_gets_a_hint() -> None:
    draft = read_v1alpha2(v1alpha2(tasktype="txt-to-image", out_format="png"))
    messages = {error.path: error.message for error in draft.errors}
    assert "Did you mean text-to-image?" in messages["task.metadata.tasktype"]
    assert "Did you mean output_format?" in messages["task.metadata.out_format"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("priority", -1), ("priority", 10), ("priority", True), ("priority", "1"),
        ("timeout_s", 0), ("timeout_s", 12 * 3600), ("timeout_s", 1.5),
        ("output_format", "gif"), ("group", ""), ("group", "x" * 129), ("group", "ü"),
        ("callback_url", 7), ("callback_url", ""),
    ],
)  # fmt: skip
def test_options_have_bounds(field: str, value: Any) -> None:
    assert paths(read_v1alpha2(v1alpha2(**{field: value}))) == [f"task.metadata.{field}"]


def test_a_message_at_the_top_level_has_its_own_paths() -> None:
    draft = read_direct_message({"metadata": {"tasktype": "x"}, "content": {}}, {})
    assert set(paths(draft)) == {"metadata.tasktype", "metadata.runtime"}


def test_the_model_moves_out_of_the_scripts() -> None:
    content = {
        "alwayson_scripts": {"sd_model_checkpoint": "a.ckpt", "sd_vae": "v.pt", "override_settings": {"x": 1}, "s": {}},
        "override_settings": {"y": 2, "sd_model_checkpoint": "b.ckpt"},
    }
    draft = read_v1alpha2(v1alpha2(content))
    assert draft.content == {
        "alwayson_scripts": {"s": {}},
        "override_settings": {"y": 2, "x": 1, "sd_model_checkpoint": "a.ckpt", "sd_vae": "v.pt"},
    }
    assert (draft.model, draft.at.model) == ("a.ckpt", "task.content.alwayson_scripts.sd_model_checkpoint")


def test_a_model_in_the_override_settings_is_the_choice_too() -> None:
    draft = read_v1alpha2(v1alpha2({"override_settings": {"sd_model_checkpoint": "b.ckpt"}}))
    assert (draft.model, draft.at.model) == ("b.ckpt", "task.content.override_settings.sd_model_checkpoint")


def test_scripts_as_a_list_stay_as_they_are() -> None:
    content = {"alwayson_scripts": ["gradio", 1]}
    assert read_v1alpha2(v1alpha2(content)).content == content


def test_a_workflow_stays_as_it_is() -> None:
    content = {"alwayson_scripts": {"sd_model_checkpoint": 7}}
    draft = read_v1alpha2(v1alpha2(content, tasktype="pipeline"))
    assert (draft.content, draft.errors) == (content, ())


@pytest.mark.parametrize(
    ("content", "path"),
    [
        ({"override_settings": 1}, "override_settings"),
        ({"override_settings": {"sd_model_checkpoint": 1}}, "override_settings.sd_model_checkpoint"),
        ({"alwayson_scripts": {"override_settings": 1}}, "alwayson_scripts.override_settings"),
        ({"alwayson_scripts": {"sd_model_checkpoint": ""}}, "alwayson_scripts.sd_model_checkpoint"),
        ({"alwayson_scripts": {"sd_vae": 1}}, "alwayson_scripts.sd_vae"),
    ],
)
def test_a_bad_model_choice_is_named(content: dict[str, Any], path: str) -> None:
    assert paths(read_v1alpha2(v1alpha2(content))) == [f"task.content.{path}"]


def test_v1alpha1_becomes_the_same_submission() -> None:
    body = {
        "alwayson_scripts": {
            "task": "image-to-image", "sd_model_checkpoint": "a.ckpt", "id_task": "t", "save_dir": "out",
            "image_link": "https://example.org/a.png", "uid": "u",
        },
        "prompt": "x",
        "init_images": ["old", "second"],
    }  # fmt: skip
    submission = read_v1alpha1(body).submission()
    assert (submission.api_version, submission.id, submission.prefix) == (ApiVersion.V1ALPHA1, "t", "out")
    assert submission.content == {
        "prompt": "x",
        "init_images": ["https://example.org/a.png", "second"],
        "alwayson_scripts": {},
        "override_settings": {"sd_model_checkpoint": "a.ckpt"},
    }


@few
@given(content=json_objects)
def test_a_fingerprint_does_not_depend_on_the_order_of_keys(content: dict[str, Any]) -> None:
    shuffled = dict(reversed(content.items()))
    one, other = (read_v1alpha2(v1alpha2(value, tasktype="pipeline")).submission() for value in (content, shuffled))
    assert fingerprint(one, "r") == fingerprint(other, "r")


@pytest.mark.parametrize(
    "changed",
    [v1alpha2({"prompt": "y"}), v1alpha2({"prompt": "x"}, prefix="p"), v1alpha2({"prompt": "x"}, context=1),
     v1alpha2({"prompt": "x"}, priority=1), v1alpha2({"prompt": "x"}, timeout_s=1)],
)  # fmt: skip
def test_a_fingerprint_tells_other_content_apart(changed: dict[str, Any]) -> None:
    one = read_v1alpha2(v1alpha2({"prompt": "x"})).submission()
    assert fingerprint(one, "r") != fingerprint(read_v1alpha2(changed).submission(), "r")


def test_a_fingerprint_knows_no_id() -> None:
    one, other = (read_v1alpha2(v1alpha2(id=task_id)).submission() for task_id in ("a", None))
    assert fingerprint(one, "r") == fingerprint(other, "r")


@few
@given(body=json_objects)
def test_any_json_object_is_parsed(body: dict[str, Any]) -> None:
    assert parse_object(json.dumps(body).encode()) == body


@few
@given(body=st.binary(max_size=30) | texts(max_size=30))
def test_any_other_body_is_refused(body: bytes | str) -> None:
    with suppress(InvalidRequest):
        assert isinstance(parse_object(body), dict)


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_what_only_python_takes_for_json_is_refused(constant: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_object(f'{{"a": {constant}}}')


@pytest.mark.parametrize(("levels", "is_fine"), [(MAX_DEPTH, True), (MAX_DEPTH + 1, False), (50_000, False)])
def test_nesting_has_a_limit(levels: int, is_fine: bool) -> None:
    body = '{"a":' * levels + "1" + "}" * levels
    if is_fine:
        assert parse_object(body)
    else:
        with pytest.raises(InvalidRequest):
            parse_object(body)
