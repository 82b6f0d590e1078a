"""Every request example of the seed documents, as printed, through the whole service (docs/seed-documents.md).

Comments are removed; the Hugging Face picture is replaced by an upload. Objects and notices have the printed names.
"""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from running_service import RunningService

EXAMPLES = Path(__file__).parents[1] / "lambdas" / "seed_requests"
CAT = "https://huggingface.co/datasets/huggingface/documentation-images/resolve/main/diffusers/cat.png"
CAT_SIZE = (24, 16)


@pytest.fixture(scope="module")
def cat(local_deployment: RunningService) -> str:
    """The `s3://` URL of a picture."""
    picture = io.BytesIO()
    Image.new("RGB", CAT_SIZE, "orange").save(picture, "PNG")
    body = {"content_type": "image/png", "size_bytes": len(picture.getvalue())}
    upload = local_deployment.request("POST", "v1alpha2/uploads", json=body).json()
    sent = httpx.put(upload["upload_url"], content=picture.getvalue(), headers=upload["headers"], trust_env=False)
    assert sent.is_success
    return str(upload["url"])


def an_example(name: str, cat: str) -> dict[str, Any]:
    example: dict[str, Any] = json.loads((EXAMPLES / f"{name}.json").read_text().replace(CAT, cat))
    return example


def size_of(service: RunningService, url: str) -> tuple[int, int]:
    return Image.open(io.BytesIO(service.object_at(url))).size


@pytest.mark.parametrize(
    ("name", "task_id", "prefix", "size"),
    [
        ("v1alpha2-text-to-image", "test-t2i", "output", (512, 512)),
        ("v1alpha1-text-to-image", "test-t2i", "outputs", (512, 512)),
        ("v1alpha2-image-to-image", "test-i2i", "output", (512, 512)),
        ("v1alpha1-image-to-image", "test-i2i", "output", (512, 512)),
        ("v1alpha2-extra-single-image", "test-extra", "output", (4 * CAT_SIZE[0], 4 * CAT_SIZE[1])),
        ("v1alpha2-pipeline", "test-pipeline", "output", None),
        ("direct-message", "test-t2i", "output", (512, 512)),
    ],
)
def test_a_seed_example_is_accepted_and_its_results_are_as_printed(
    local_deployment: RunningService, cat: str, name: str, task_id: str, prefix: str, size: tuple[int, int] | None
) -> None:
    service, example = local_deployment, an_example(name, cat)
    notices = service.notices()
    location = f"s3://{service.outputs['OutputBucket']}/{prefix}/{task_id}"
    if name == "direct-message":
        publish_directly(service, example)
    else:
        version = name.split("-", maxsplit=1)[0]
        answer = service.request("POST", version, json=example)
        assert answer.status_code == 200, answer.text
        second = "runtime" if version == "v1alpha2" else "sd_model_checkpoint"
        named = {"runtime": "sdruntime", "sd_model_checkpoint": "v1-5-pruned-emaonly.safetensors"}[second]
        printed = {"id_task": task_id, second: named, "output_location": location}
        assert {key: answer.json()[key] for key in printed} == printed

    notice = notices.of(task_id)
    assert (notice["id"], notice["result"], notice["runtime"]) == (task_id, True, "sdruntime")
    assert len(notice["image_url"]) == 1
    matched = re.fullmatch(rf"{re.escape(location)}/{task_id}-([a-z0-9]{{4}})-1\.png", notice["image_url"][0])
    assert matched
    assert notice["output_url"] == f"{location}/{task_id}-{matched[1]}.out"
    assert notice["image_url"][0] in service.object_at(notice["output_url"]).decode()
    if size is not None:
        assert size_of(service, notice["image_url"][0]) == size


def publish_directly(service: RunningService, message: dict[str, Any]) -> None:
    service.sns(
        "Publish",
        **{
            "TopicArn": service.outputs["sdNotificationLambdaARN"],
            "Message": json.dumps(message),
            "MessageAttributes.entry.1.Name": "runtime",
            "MessageAttributes.entry.1.Value.DataType": "String",
            "MessageAttributes.entry.1.Value.StringValue": "sdruntime",
        },
    )
