"""Messages that nobody should send: random, broken, oversized, misdirected. The same for the same seed."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from copy import deepcopy
from typing import Any

#: In every prompt. No log may hold it.
CANARY = "a canary sings in the prompt"

#: Where a content must not be read from.
FOREIGN_LOCATIONS = (
    "s3://somebody-elses-bucket/inbox/a/b.json",
    "s3://sdfleet-test-inbox/dead-letters/queue/m.json",
    "s3://sdfleet-test-inbox/inbox/../dead-letters/queue/m.json",
    "s3://sdfleet-test-output/output/a.json",
    "s3://sdfleet-test-inbox/inbox/a/\ud800.json",
    "http://169.254.169.254/latest/meta-data/iam",
    "file:///etc/passwd",
    "s3://",
    "",
)

_WRONG_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 10**30, -(10**400), 1e308, "", " ", "x", "\x00", "\ud800", "\udfff\ud800", "../../x",
    "x" * 100_000, CANARY, "http://[::1", "http://169.254.169.254/", "https://", "s3://a/b", "data:image/png;base64,==",
    [], [[]], {}, {"": None}, [None] * 100, {"a": {"b": {"c": CANARY}}}, ["\ud800"], {"\ud800": 1},
)  # fmt: skip


def hostile_messages(seed: int, count: int, *, task_id: str = "test-t2i", run: str = "run-1") -> list[str]:
    """Bodies; about half of them still name the task and the run, some are hardly broken at all.

    A `{}` in the id makes each message one of another task.
    """
    dice = random.Random(seed)
    return [dice.choice(_KINDS)(dice, dice.choice(_bases(task_id.format(number), run))) for number in range(count)]


def hostile_contents(seed: int, count: int) -> list[dict[str, Any]]:
    """Contents of accepted tasks, something wrong at one or more places."""
    dice = random.Random(seed)
    contents = []
    for _ in range(count):
        content = dice.choice((_content(), _workflow()))
        for _ in range(dice.randint(1, 3)):
            _put_wrong_value(dice, content)
        contents.append(content)
    return contents


def _content() -> dict[str, Any]:
    return {
        "prompt": CANARY, "negative_prompt": "", "steps": 2, "width": 64, "height": 64, "seed": 1, "batch_size": 1,
        "n_iter": 1, "init_images": ["x"], "alwayson_scripts": {"controlnet": {"args": [{"image": "x"}]}},
        "override_settings": {"sd_vae": "v"}, "test_pattern_seconds": 0,
    }  # fmt: skip


def _workflow() -> dict[str, Any]:
    return {
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": CANARY, "clip": ["4", 1]}},
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "m.safetensors"}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["6", 0], "filename_prefix": "x"}},
    }


def _bases(task_id: str, run: str) -> list[dict[str, Any]]:
    metadata = {"id": task_id, "runtime": "sdruntime", "tasktype": "text-to-image", "prefix": "output", "context": {}}
    scripts = {"task": "text-to-image", "sd_model_checkpoint": "m", "id_task": task_id, "save_dir": "output"}
    return [
        {"metadata": {**metadata, "run": run}, "content": _content()},
        {
            "metadata": {**metadata, "run": run},
            "content_location": f"s3://sdfleet-test-inbox/inbox/{task_id}/{run}.json",
        },
        {"metadata": {**metadata, "id": "nobody-knows", "run": run}, "content": _content()},
        {"metadata": metadata, "content": _content()},
        {"task": {"metadata": {**metadata, "tasktype": "pipeline", "runtime": "comfy"}, "content": _workflow()}},
        {"alwayson_scripts": scripts, "prompt": CANARY},
    ]


def _random_text(dice: random.Random, _base: dict[str, Any]) -> str:
    return "".join(chr(dice.choice((dice.randrange(32), dice.randrange(0xD800)))) for _ in range(dice.randint(0, 300)))


def _random_bytes(dice: random.Random, _base: dict[str, Any]) -> str:
    return dice.randbytes(dice.randint(0, 2_000)).decode("latin-1")


def _truncated(dice: random.Random, base: dict[str, Any]) -> str:
    text = json.dumps(base)
    return text[: dice.randrange(len(text))]


def _corrupted(dice: random.Random, base: dict[str, Any]) -> str:
    letters = list(json.dumps(base))
    for _ in range(dice.randint(1, 5)):
        letters[dice.randrange(len(letters))] = chr(dice.randrange(1, 0x3000))
    return "".join(letters)


def _bottomless(dice: random.Random, _base: dict[str, Any]) -> str:
    opening, closing = dice.choice((("[", "]"), ('{"a":', "}"), ('{"metadata":', "}"), ('{"Message":', "}")))
    depth = dice.choice((70, 500, 5_000, 50_000))
    return opening * depth + dice.choice((f"1{closing * depth}", ""))


def _deep_inside(dice: random.Random, base: dict[str, Any]) -> str:
    depth = dice.choice((40, 80, 300))
    holder, key = dice.choice(_places(base))
    holder[key] = "@"
    return json.dumps(base).replace('"@"', "[" * depth + "1" + "]" * depth)


def _huge_number(dice: random.Random, base: dict[str, Any]) -> str:
    holder, key = dice.choice(_places(base))
    holder[key] = "@"
    number = dice.choice(("1e999", "-1e999", "9" * 400, "9" * 5_000, "NaN", "Infinity", "1e-999", "0." + "1" * 5_000))
    return json.dumps(base).replace('"@"', number)


def _wrong_types(dice: random.Random, base: dict[str, Any]) -> str:
    for _ in range(dice.randint(1, 3)):
        _put_wrong_value(dice, base)
    return json.dumps(base)


def _missing(dice: random.Random, base: dict[str, Any]) -> str:
    holder, key = dice.choice([(holder, key) for holder, key in _places(base) if isinstance(holder, dict)])
    del holder[key]
    return json.dumps(base)


def _unknown_keys(dice: random.Random, base: dict[str, Any]) -> str:
    holder = base.get("metadata") or base
    holder.update({f"{CANARY} {number}": CANARY for number in range(dice.choice((1, 50, 3_000)))})
    return json.dumps(base)


def _bad_id(dice: random.Random, base: dict[str, Any]) -> str:
    ids = (
        "x" * 129,
        "x" * 200_000,
        "../../etc",
        "a/b",
        "a b",
        "\u0661\u0662",
        "\ud800",
        "a\n",
        "",
        CANARY,
        7,
        ["a"],
        "-" * 128,
    )
    holder = base.get("metadata") or base.get("alwayson_scripts") or base["task"]["metadata"]
    holder[dice.choice(("id", "id_task", "run"))] = dice.choice(ids)
    return json.dumps(base)


def _foreign_location(dice: random.Random, base: dict[str, Any]) -> str:
    holder = base["task"] if isinstance(base.get("task"), dict) else base
    holder.pop("content", None)
    holder["content_location"] = dice.choice((*FOREIGN_LOCATIONS, 7, None, [], {"s3": CANARY}))
    return json.dumps(base)


def _wrapped(dice: random.Random, base: dict[str, Any]) -> str:
    text = dice.choice((_wrong_types, _truncated, _missing))(dice, base)
    for _ in range(dice.randint(1, 5)):
        text = json.dumps({
            "Type": dice.choice(("Notification", "Notification", "SubscriptionConfirmation", 7)),
            "MessageId": dice.choice(("95df01b4-ee98-5cb9-9903-4c221d41eb5e", "x" * 128, "../a", 7, None)),
            "Message": dice.choice((text, text, text, 7, None, {"metadata": {}})),
            "MessageAttributes": dice.choice(({}, [], 7, {"runtime": 7}, {"runtime": {"Value": CANARY}})),
        })  # fmt: skip
    return text


def _foreign(dice: random.Random, _base: dict[str, Any]) -> str:
    return json.dumps(dice.choice((
        {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"},
        {"Records": [{"eventSource": "aws:s3", "s3": {"object": {"key": CANARY}}}]},
        {"version": "0", "detail-type": "Scheduled Event", "source": "aws.events", "detail": {"prompt": CANARY}},
        {"AlarmName": CANARY, "NewStateValue": "ALARM"},
        {"LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING", "EC2InstanceId": "i-1"},
        [{"metadata": {"id": "a"}}], "text", 7, None, True, [], {},
    )))  # fmt: skip


_KINDS: tuple[Callable[[random.Random, dict[str, Any]], str], ...] = (
    _random_text, _random_bytes, _truncated, _corrupted, _bottomless, _deep_inside, _huge_number, _wrong_types,
    _missing, _unknown_keys, _bad_id, _foreign_location, _wrapped, _foreign,
)  # fmt: skip


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every holder and key below `value`."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    return [(value, key) for key in keys] + [place for key in keys for place in _places(value[key])]


def _put_wrong_value(dice: random.Random, base: dict[str, Any]) -> None:
    places = _places(base)
    if places:
        holder, key = dice.choice(places)
        holder[key] = deepcopy(dice.choice(_WRONG_VALUES))
