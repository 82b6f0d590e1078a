"""What a request names, and which file of the model bucket that is."""

from __future__ import annotations

from typing import Any

import pytest

from sdfleet.domain.model_names import models_named
from sdfleet.domain.models import SEED_DIRECTORIES, ModelKind, NamedModel, is_safe_key, keys_of, kind_of
from sdfleet.domain.task import RuntimeType, TaskType

WEBUI, COMFYUI = RuntimeType.SDWEBUI, RuntimeType.COMFYUI
BUCKET = [
    "Stable-diffusion/v1-5.safetensors",
    "Stable-diffusion/v1-5.ckpt",
    "Stable-diffusion/v1-5.yaml",
    "Stable-diffusion/anime/v3.safetensors",
    "VAE/v1-5.vae.safetensors",
    "VAE/ft-mse.safetensors",
    "Lora/ink wash.safetensors",
    "loras/film.safetensors",
    "ESRGAN/4x-UltraSharp.pth",
    "RealESRGAN/RealESRGAN_x4plus.pth",
    "ControlNet/control_canny.pth",
    "embeddings/EasyNegative.safetensors",
]


def named(
    content: dict[str, Any],
    tasktype: TaskType = TaskType.TEXT_TO_IMAGE,
    *,
    model: str | None = None,
    embeddings: tuple[str, ...] = ("embeddings/EasyNegative.safetensors",),
) -> set[tuple[ModelKind, str]]:
    return {(each.kind, each.name) for each in models_named(tasktype, content, model=model, embeddings=embeddings)}


def keys(kind: ModelKind, name: str, runtime: RuntimeType = WEBUI) -> list[str]:
    return keys_of(NamedModel(kind, name, "content"), BUCKET, runtime)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"override_settings": {"sd_model_checkpoint": "a.ckpt"}}, (ModelKind.CHECKPOINT, "a.ckpt")),
        ({"alwayson_scripts": {"sd_model_checkpoint": "a.ckpt"}}, (ModelKind.CHECKPOINT, "a.ckpt")),
        ({"alwayson_scripts": {"override_settings": {"sd_vae": "b.pt"}}}, (ModelKind.VAE, "b.pt")),
        ({"override_settings": {"forge_additional_modules": ["/x/t5.gguf"]}}, (ModelKind.TEXT_ENCODER, "t5.gguf")),
        ({"refiner_checkpoint": "r.safetensors"}, (ModelKind.CHECKPOINT, "r.safetensors")),
        ({"hr_checkpoint_name": "h.safetensors"}, (ModelKind.CHECKPOINT, "h.safetensors")),
        ({"hr_upscaler": "4x-UltraSharp"}, (ModelKind.UPSCALER, "4x-UltraSharp")),
        ({"prompt": "a dog <lora:ink wash:0.8:0.5>"}, (ModelKind.LORA, "ink wash")),
        ({"prompt": "a dog <lyco:old>"}, (ModelKind.LORA, "old")),
        ({"hr_prompt": "<hypernet:fur:1>"}, (ModelKind.HYPERNETWORK, "fur")),
        ({"negative_prompt": "blurry, (easynegative:1.2)"}, (ModelKind.EMBEDDING, "EasyNegative")),
        ({"alwayson_scripts": {"ControlNet": {"args": [{"model": "canny"}]}}}, (ModelKind.CONTROLNET, "canny")),
        ({"alwayson_scripts": {"ADetailer": {"args": [True, {"ad_vae": "face.pt"}]}}}, (ModelKind.VAE, "face.pt")),
    ],
)  # fmt: skip
def test_a_webui_request_names_models_in_many_places(content: dict[str, Any], expected: tuple[ModelKind, str]) -> None:
    assert expected in named(content)


@pytest.mark.parametrize(
    "content",
    [
        {"override_settings": {"sd_vae": "Automatic", "sd_model_checkpoint": ""}},
        {"hr_checkpoint_name": "Use same checkpoint", "refiner_checkpoint": "None"},
        {"negative_prompt": "<lora:only text:1>"},
        {"prompt": "uneasynegatively drawn"},
        {"alwayson_scripts": {"controlnet": {"args": [{"enabled": False, "model": "canny"}, {"model": "None"}]}}},
        {"alwayson_scripts": [], "override_settings": None, "prompt": 7},
    ],
)
def test_what_only_looks_like_a_name_is_none(content: dict[str, Any]) -> None:
    assert named(content) == set()


def test_a_request_that_names_no_checkpoint_gets_the_runtimes_own() -> None:
    assert named({"prompt": "a dog"}, model="own.safetensors") == {(ModelKind.CHECKPOINT, "own.safetensors")}


def test_upscaling_needs_no_checkpoint() -> None:
    extras = {"upscaler_1": "4x-UltraSharp", "upscaler_2": "None"}
    assert named(extras, TaskType.EXTRA_SINGLE_IMAGE, model="own.safetensors") == {
        (ModelKind.UPSCALER, "4x-UltraSharp")
    }


@pytest.mark.parametrize(
    ("class_type", "field", "kind"),
    [
        ("CheckpointLoaderSimple", "ckpt_name", ModelKind.CHECKPOINT),
        ("unCLIPCheckpointLoader", "ckpt_name", ModelKind.CHECKPOINT),
        ("VAELoader", "vae_name", ModelKind.VAE),
        ("LoraLoader", "lora_name", ModelKind.LORA),
        ("ControlNetLoader", "control_net_name", ModelKind.CONTROLNET),
        ("UpscaleModelLoader", "model_name", ModelKind.UPSCALER),
        ("DualCLIPLoader", "clip_name2", ModelKind.TEXT_ENCODER),
        ("UNETLoader", "unet_name", ModelKind.DIFFUSION_MODEL),
        ("UnetLoaderGGUF", "unet_name", ModelKind.DIFFUSION_MODEL),
        ("StyleModelLoader", "style_model_name", ModelKind.STYLE_MODEL),
        ("CLIPVisionLoader", "clip_name", ModelKind.CLIP_VISION),
        ("HypernetworkLoader", "hypernetwork_name", ModelKind.HYPERNETWORK),
        ("GLIGENLoader", "gligen_name", ModelKind.GLIGEN),
        ("PhotoMakerLoader", "photomaker_model_name", ModelKind.PHOTOMAKER),
        ("AudioEncoderLoader", "audio_encoder_name", ModelKind.AUDIO_ENCODER),
        ("ModelPatchLoader", "name", ModelKind.MODEL_PATCH),
        ("LatentUpscaleModelLoader", "model_name", ModelKind.LATENT_UPSCALER),
    ],
)
def test_every_loader_of_a_workflow_names_its_model(class_type: str, field: str, kind: ModelKind) -> None:
    graph = {"4": {"class_type": class_type, "inputs": {field: "x.safetensors", "strength": 1.0}}}
    assert named(graph, TaskType.PIPELINE) == {(kind, "x.safetensors")}


def test_a_node_that_is_no_loader_names_no_model() -> None:
    graph = {"4": {"class_type": "SaveImage", "inputs": {"model_name": "x", "images": ["3", 0]}}}
    assert named(graph, TaskType.PIPELINE) == set()


def test_a_loader_of_many_loras_names_those_that_are_on() -> None:
    inputs = {"lora_1": {"on": True, "lora": "a.safetensors"}, "lora_2": {"on": False, "lora": "b.safetensors"}}
    graph = {"4": {"class_type": "Power Lora Loader (rgthree)", "inputs": inputs}}
    assert named(graph, TaskType.PIPELINE) == {(ModelKind.LORA, "a.safetensors")}


def test_a_workflows_prompts_name_embeddings() -> None:
    graph = {"6": {"class_type": "CLIPTextEncode", "inputs": {"text": "bad, (embedding:EasyNegative:1.1)"}}}
    assert named(graph, TaskType.PIPELINE) == {(ModelKind.EMBEDDING, "EasyNegative")}


def test_a_name_says_where_it_stands() -> None:
    graph = {"4": {"class_type": "VAELoader", "inputs": {"vae_name": "x.pt"}}}
    (found,) = models_named(TaskType.PIPELINE, graph, model=None, embeddings=())
    assert found.path == "content.4.inputs.vae_name"


@pytest.mark.parametrize("name", ["v1-5.safetensors", "v1-5", "V1-5", "v1-5.safetensors [6ce0161689]"])
def test_the_webui_takes_a_checkpoint_with_all_that_belongs_to_it(name: str) -> None:
    assert keys(ModelKind.CHECKPOINT, name) == [
        "Stable-diffusion/v1-5.safetensors",
        "Stable-diffusion/v1-5.yaml",
        "VAE/v1-5.vae.safetensors",
    ]


def test_a_suffix_tells_two_files_of_one_name_apart() -> None:
    assert keys(ModelKind.CHECKPOINT, "v1-5.ckpt")[0] == "Stable-diffusion/v1-5.ckpt"


@pytest.mark.parametrize("name", ["v3", "anime/v3", "anime/v3.safetensors"])
def test_a_model_in_a_subfolder_is_found_by_file_or_path(name: str) -> None:
    assert keys(ModelKind.CHECKPOINT, name) == ["Stable-diffusion/anime/v3.safetensors"]


def test_upscalers_are_found_by_the_names_that_the_webui_gives_them() -> None:
    assert keys(ModelKind.UPSCALER, "4X-ultrasharp") == ["ESRGAN/4x-UltraSharp.pth"]
    assert keys(ModelKind.UPSCALER, "R-ESRGAN 4x+") == ["RealESRGAN/RealESRGAN_x4plus.pth"]
    assert keys(ModelKind.UPSCALER, "Lanczos") == []


def test_comfyui_takes_whole_paths_only() -> None:
    assert keys(ModelKind.CHECKPOINT, "anime\\v3.safetensors", COMFYUI) == ["Stable-diffusion/anime/v3.safetensors"]
    assert keys(ModelKind.CHECKPOINT, "v3.safetensors", COMFYUI) == []


def test_comfyui_finds_models_under_its_own_folder_names_too_and_the_webui_does_not() -> None:
    assert keys(ModelKind.LORA, "film.safetensors", COMFYUI) == ["loras/film.safetensors"]
    assert keys(ModelKind.LORA, "film.safetensors", WEBUI) == []


def test_comfyui_takes_an_embedding_without_its_suffix() -> None:
    assert keys(ModelKind.EMBEDDING, "EasyNegative", COMFYUI) == ["embeddings/EasyNegative.safetensors"]


@pytest.mark.parametrize("directory", SEED_DIRECTORIES)
def test_every_directory_of_the_documents_layout_has_a_kind(directory: str) -> None:
    assert kind_of(f"{directory}/x.safetensors") is not None


@pytest.mark.parametrize("key", ["Lora/../../etc/passwd", "/Lora/x", "Lora//x", "x.safetensors", "Lora", "other/x"])
def test_a_key_that_leads_elsewhere_is_no_model(key: str) -> None:
    assert not is_safe_key(key)
