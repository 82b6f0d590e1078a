"""Prompts of our own: one that proves that ComfyUI works, one that has it load the runtime's model."""

from __future__ import annotations

import random

from sdfleet.domain.task import JsonObject


def canary() -> JsonObject:
    """Milliseconds of work, without a model."""
    # Its colour is new each time: the cache would answer without executing a node.
    picture = {"width": 16, "height": 16, "batch_size": 1, "color": random.randrange(1 << 24)}
    return {
        "1": {"class_type": "EmptyImage", "inputs": picture},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }


def warm_up(checkpoint: str) -> JsonObject:
    """One step of a tiny picture: weights, text encoder and VAE are on the GPU after it, and its kernels are built."""
    sampling = {
        "model": ["1", 0],
        "positive": ["2", 0],
        "negative": ["2", 0],
        "latent_image": ["3", 0],
        "seed": random.randrange(1 << 24),
        "steps": 1,
        "cfg": 1.0,
        "sampler_name": "euler",
        "scheduler": "normal",
        "denoise": 1.0,
    }
    return {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": checkpoint}},
        "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "", "clip": ["1", 1]}},
        "3": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
        "4": {"class_type": "KSampler", "inputs": sampling},
        "5": {"class_type": "VAEDecode", "inputs": {"samples": ["4", 0], "vae": ["1", 2]}},
        "6": {"class_type": "PreviewImage", "inputs": {"images": ["5", 0]}},
    }
