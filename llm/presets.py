"""Checkpoints that people know by name, as their published configs describe them; figures are derived, not typed in.

No weights of any of them have been loaded by this project: it is their families that are proven, on tiny random
checkpoints (tests/llm/test_families.py). Where the shapes are from, and which were left out, is in docs/log.md.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from llm.shapes import Shape, shape_of

_SIGLIP_BASE: dict[str, Any] = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "image_size": 512,
    "patch_size": 16,
}
_SIGLIP_LARGE: dict[str, Any] = {
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
    "image_size": 384,
    "patch_size": 14,
}
_SIGLIP_OF_GEMMA = {**_SIGLIP_LARGE, "model_type": "siglip_vision_model", "image_size": 896, "vision_use_head": False}
_QWEN3_VISION: dict[str, Any] = {
    "depth": 24,
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_heads": 16,
    "deepstack_visual_indexes": [5, 11, 17],
}


def _text(hidden: int, inner: int, layers: int, heads: int, kv_heads: int, words: int, **more: Any) -> dict[str, Any]:
    return {
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "vocab_size": words,
        **more,
    }


@dataclass(frozen=True)
class Preset:
    """A checkpoint of the hub.

    name       OWNER/NAME
    family     `model_type` of its config
    facts      what its config says beyond the defaults of transformers, as far as sizes depend on it
    is_gated   its owner wants terms accepted before it can be fetched
    auto_rank  place in the order in which `--model auto` prefers them, 1 first; None: never taken
    """

    name: str
    family: str
    facts: dict[str, Any]
    is_gated: bool = False
    auto_rank: int | None = None

    @property
    def shape(self) -> Shape:
        return _shape(self.name)


PRESETS = (
    Preset(
        "HuggingFaceTB/SmolVLM2-256M-Video-Instruct",
        "smolvlm",
        {
            "scale_factor": 4,
            "vision_config": _SIGLIP_BASE,
            "text_config": _text(576, 1536, 30, 9, 3, 49280, model_type="llama", max_position_embeddings=8192),
        },
        auto_rank=5,
    ),
    Preset(
        "HuggingFaceTB/SmolVLM2-500M-Video-Instruct",
        "smolvlm",
        {
            "scale_factor": 4,
            "vision_config": _SIGLIP_BASE,
            "text_config": _text(960, 2560, 32, 15, 5, 49280, model_type="llama", max_position_embeddings=8192),
        },
        auto_rank=4,
    ),
    Preset(
        "HuggingFaceTB/SmolVLM2-2.2B-Instruct",
        "smolvlm",
        {
            "scale_factor": 3,
            "vision_config": _SIGLIP_LARGE,
            "text_config": _text(2048, 8192, 24, 32, 32, 49280, model_type="llama", max_position_embeddings=8192),
        },
    ),
    Preset(
        "OpenGVLab/InternVL3-1B-hf",
        "internvl",
        {
            "tie_word_embeddings": False,
            "text_config": _text(896, 4864, 24, 14, 2, 151674, model_type="qwen2", max_position_embeddings=32768),
        },
    ),
    Preset(
        "OpenGVLab/InternVL3-2B-hf",
        "internvl",
        {
            "tie_word_embeddings": False,
            "text_config": _text(1536, 8960, 28, 12, 2, 151674, model_type="qwen2", max_position_embeddings=32768),
        },
    ),
    Preset(
        "OpenGVLab/InternVL3-8B-hf",
        "internvl",
        {
            "tie_word_embeddings": False,
            "text_config": _text(3584, 18944, 28, 28, 4, 151674, model_type="qwen2", max_position_embeddings=32768),
        },
    ),
    Preset(
        "Qwen/Qwen3-VL-2B-Instruct",
        "qwen3_vl",
        {
            "tie_word_embeddings": True,
            "vision_config": {**_QWEN3_VISION, "out_hidden_size": 2048},
            "text_config": _text(2048, 6144, 28, 16, 8, 151936, head_dim=128, max_position_embeddings=262144),
        },
        auto_rank=3,
    ),
    Preset(
        "Qwen/Qwen3-VL-4B-Instruct",
        "qwen3_vl",
        {
            "tie_word_embeddings": True,
            "vision_config": {**_QWEN3_VISION, "out_hidden_size": 2560},
            "text_config": _text(2560, 9728, 36, 32, 8, 151936, head_dim=128, max_position_embeddings=262144),
        },
        auto_rank=2,
    ),
    Preset(
        "Qwen/Qwen3-VL-8B-Instruct",
        "qwen3_vl",
        {
            "tie_word_embeddings": False,
            "vision_config": {
                "depth": 27,
                "hidden_size": 1152,
                "intermediate_size": 4304,
                "num_heads": 16,
                "deepstack_visual_indexes": [8, 16, 24],
                "out_hidden_size": 4096,
            },
            "text_config": _text(4096, 12288, 36, 32, 8, 151936, head_dim=128, max_position_embeddings=262144),
        },
        auto_rank=1,
    ),
    Preset(
        "Qwen/Qwen2.5-VL-3B-Instruct",
        "qwen2_5_vl",
        {
            "tie_word_embeddings": True,
            "vision_config": {"hidden_size": 1280, "intermediate_size": 3420, "out_hidden_size": 2048},
            "text_config": _text(2048, 11008, 36, 16, 2, 151936, max_position_embeddings=128000),
        },
    ),
    Preset(
        "Qwen/Qwen2.5-VL-7B-Instruct",
        "qwen2_5_vl",
        {
            "tie_word_embeddings": False,
            "vision_config": {"hidden_size": 1280, "intermediate_size": 3420, "out_hidden_size": 3584},
            "text_config": _text(3584, 18944, 28, 28, 4, 152064, max_position_embeddings=128000),
        },
    ),
    Preset(
        "google/gemma-3-4b-it",
        "gemma3",
        {
            "vision_config": _SIGLIP_OF_GEMMA,
            "text_config": _text(2560, 10240, 34, 8, 4, 262208, head_dim=256, sliding_window=1024),
        },
        is_gated=True,
    ),
    Preset(
        "google/gemma-3-12b-it",
        "gemma3",
        {
            "vision_config": _SIGLIP_OF_GEMMA,
            "text_config": _text(3840, 15360, 48, 16, 8, 262208, head_dim=256, sliding_window=1024),
        },
        is_gated=True,
    ),
    Preset(
        "llava-hf/llava-1.5-7b-hf",
        "llava",
        {"text_config": _text(4096, 11008, 32, 32, 32, 32064, model_type="llama", max_position_embeddings=4096)},
    ),
    Preset(
        "llava-hf/llava-onevision-qwen2-0.5b-ov-hf",
        "llava_onevision",
        {
            "tie_word_embeddings": True,
            "text_config": _text(896, 4864, 24, 14, 2, 152000, model_type="qwen2", max_position_embeddings=32768),
        },
    ),
    Preset(
        "llava-hf/llava-onevision-qwen2-7b-ov-hf",
        "llava_onevision",
        {"text_config": _text(3584, 18944, 28, 28, 4, 152128, model_type="qwen2", max_position_embeddings=32768)},
    ),
    Preset(
        "Salesforce/blip2-opt-2.7b",
        "blip-2",
        {
            "text_config": {
                "model_type": "opt",
                "hidden_size": 2560,
                "word_embed_proj_dim": 2560,
                "ffn_dim": 10240,
                "num_hidden_layers": 32,
                "num_attention_heads": 32,
                "vocab_size": 50304,
            },
        },
    ),
    Preset(
        "Salesforce/instructblip-vicuna-7b",
        "instructblip",
        {
            "qformer_config": {"vocab_size": 30523},
            "text_config": _text(4096, 11008, 32, 32, 32, 32001, model_type="llama"),
        },
    ),
    Preset(
        "HuggingFaceM4/Idefics3-8B-Llama3",
        "idefics3",
        {
            "scale_factor": 2,
            "vision_config": {**_SIGLIP_LARGE, "image_size": 364},
            "text_config": _text(4096, 14336, 32, 32, 8, 128259, model_type="llama", max_position_embeddings=131072),
        },
    ),
)


@functools.cache
def _shape(name: str) -> Shape:
    from transformers import AutoConfig

    preset = next(preset for preset in PRESETS if preset.name == name)
    return shape_of(AutoConfig.for_model(preset.family, **preset.facts))
