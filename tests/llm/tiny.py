"""Checkpoints of every family in miniature, randomly initialised, as folders that transformers itself wrote."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForImageTextToText,
    Blip2Config,
    Gemma3Config,
    Idefics3Config,
    InstructBlipConfig,
    InternVLConfig,
    LlavaConfig,
    LlavaOnevisionConfig,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen3VLConfig,
    SmolVLMConfig,
)

from llm.huggingface import BUNDLED_FOLDER

LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
}
_QWEN2 = {**LLAMA, "model_type": "qwen2"}
SIGLIP: dict[str, Any] = {
    "hidden_size": 24,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "patch_size": 8,
    "image_size": 32,
}
_BLIP_VISION = {**SIGLIP, "qkv_bias": True}
_QFORMER = {
    "hidden_size": 24,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "encoder_hidden_size": 24,
    "cross_attention_frequency": 1,
}
_OPT = {
    "model_type": "opt",
    "hidden_size": 32,
    "word_embed_proj_dim": 32,
    "ffn_dim": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 2048,
}
_T5 = {
    "model_type": "t5",
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 48,
    "num_layers": 2,
    "num_decoder_layers": 2,
    "num_heads": 4,
    "decoder_start_token_id": 0,
}

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% for part in message['content'] %}{{ part['text'] }}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
WITHOUT_SYSTEM = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}<start_of_turn>{{ message['role'] }}\n"
    "{% for part in message['content'] %}{{ part['text'] }}{% endfor %}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)


def _smolvlm(ids: dict[str, int], kind: type[PreTrainedConfig]) -> PreTrainedConfig:
    return kind(
        vision_config={**SIGLIP, "image_size": 32, "patch_size": 4},
        text_config={**LLAMA, "vocab_size": ids["size"]},
        image_token_id=ids["<image>"],
        scale_factor=2,
        pad_token_id=ids["<pad>"],
    )


def _qwen(ids: dict[str, int], kind: type[PreTrainedConfig], **vision: Any) -> PreTrainedConfig:
    rope = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10_000.0}
    return kind(
        text_config={
            **{key: value for key, value in LLAMA.items() if key != "model_type"},
            "vocab_size": ids["size"],
            "head_dim": 8,
            "rope_parameters": rope,
            "pad_token_id": ids["<pad>"],
        },
        vision_config={"depth": 4, "hidden_size": 16, "intermediate_size": 24, "num_heads": 2, **vision},
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
    )


CONFIGS: dict[str, Callable[[dict[str, int]], PreTrainedConfig]] = {
    "smolvlm": lambda ids: _smolvlm(ids, SmolVLMConfig),
    "idefics3": lambda ids: _smolvlm(ids, Idefics3Config),
    "llava": lambda ids: LlavaConfig(
        vision_config={**SIGLIP, "model_type": "clip_vision_model", "projection_dim": 24},
        text_config={**LLAMA, "vocab_size": ids["size"]},
        image_token_index=ids["<image>"],
    ),
    "llava_onevision": lambda ids: LlavaOnevisionConfig(
        vision_config={**SIGLIP, "model_type": "siglip_vision_model", "vision_use_head": False},
        text_config={**_QWEN2, "vocab_size": ids["size"]},
        image_token_index=ids["<image>"],
        video_token_index=ids["<|video_pad|>"],
        image_grid_pinpoints=[[32, 32], [32, 64], [64, 32]],
    ),
    "qwen2_5_vl": lambda ids: _qwen(
        ids, Qwen2_5_VLConfig, patch_size=4, out_hidden_size=32, window_size=16, fullatt_block_indexes=[3]
    ),
    "qwen3_vl": lambda ids: _qwen(
        ids,
        Qwen3VLConfig,
        patch_size=4,
        out_hidden_size=32,
        num_position_embeddings=64,
        deepstack_visual_indexes=[0, 2],
    ),
    "internvl": lambda ids: InternVLConfig(
        vision_config={**SIGLIP, "image_size": [32, 32], "patch_size": [4, 4]},
        text_config={**_QWEN2, "vocab_size": ids["size"]},
        image_token_id=ids["<IMG_CONTEXT>"],
        image_seq_length=16,
    ),
    "gemma3": lambda ids: Gemma3Config(
        vision_config={**SIGLIP, "model_type": "siglip_vision_model", "vision_use_head": False},
        text_config={
            **{key: value for key, value in LLAMA.items() if key != "model_type"},
            "vocab_size": ids["size"],
            "head_dim": 8,
            "query_pre_attn_scalar": 8,
            "sliding_window": 24,
            "tie_word_embeddings": False,
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
        },
        tie_word_embeddings=False,
        mm_tokens_per_image=4,
        image_token_index=ids["<image_soft_token>"],
        boi_token_index=ids["<start_of_image>"],
        eoi_token_index=ids["<end_of_image>"],
    ),
    "blip-2": lambda ids: Blip2Config(
        vision_config=_BLIP_VISION,
        qformer_config=_QFORMER,
        text_config={**_OPT, "vocab_size": ids["size"], "bos_token_id": ids["<s>"], "eos_token_id": ids["</s>"]},
        num_query_tokens=6,
        image_token_index=ids["<image>"],
    ),
    "blip-2 with t5": lambda ids: Blip2Config(
        vision_config=_BLIP_VISION,
        qformer_config=_QFORMER,
        text_config={**_T5, "vocab_size": ids["size"], "eos_token_id": ids["</s>"]},
        num_query_tokens=6,
        image_token_index=ids["<image>"],
    ),
    "instructblip": lambda ids: InstructBlipConfig(
        vision_config=_BLIP_VISION,
        qformer_config={**_QFORMER, "vocab_size": ids["size"]},
        text_config={**LLAMA, "vocab_size": ids["size"]},
        num_query_tokens=6,
        image_token_index=ids["<image>"],
    ),
    "instructblip with t5": lambda ids: InstructBlipConfig(
        vision_config=_BLIP_VISION,
        qformer_config={**_QFORMER, "vocab_size": ids["size"]},
        text_config={**_T5, "vocab_size": ids["size"], "eos_token_id": ids["</s>"]},
        num_query_tokens=6,
        image_token_index=ids["<image>"],
    ),
}
_MARKS = [
    "<s>",
    "</s>",
    "<pad>",
    "<|im_start|>",
    "<|im_end|>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<|image_pad|>",
    "<|video_pad|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<img>",
    "</img>",
    "<IMG_CONTEXT>",
    "<image_soft_token>",
    "<start_of_image>",
    "<end_of_image>",
]
TEMPLATES = {"gemma3": WITHOUT_SYSTEM, "blip-2": None, "instructblip": None}
"""The chat template of a family; most here are of ChatML's kind."""


def make_checkpoint(folder: Path, name: str, *, config: PreTrainedConfig | None = None) -> Path:
    """A checkpoint of `name` out of CONFIGS, or of `config`, in `folder`, whose answers depend on its pictures."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(BUNDLED_FOLDER)
    tokenizer.add_special_tokens({"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"})
    tokenizer.add_special_tokens({"additional_special_tokens": _MARKS}, replace_extra_special_tokens=False)
    tokenizer.chat_template = TEMPLATES.get(name.split(" ")[0], CHATML)
    ids = {word: tokenizer.convert_tokens_to_ids(word) for word in [*_MARKS, "<image>"]}
    if config is None:
        config = CONFIGS[name]({**ids, "size": len(tokenizer)})
    elif getattr(config, "image_token_id", None) is not None:
        config.image_token_id = ids["<image>"]
    torch.manual_seed(3)
    model = AutoModelForImageTextToText.from_config(config)
    with torch.no_grad():
        for weights in model.parameters():  # far enough apart that rounding never chooses the word
            if weights.ndim > 1:
                weights.normal_(std=0.25)
    if hasattr(model, "query_tokens"):
        model.query_tokens.data.normal_()
    model.generation_config.eos_token_id = ids["</s>"]
    model.generation_config.pad_token_id = ids["<pad>"]
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if name.startswith("instructblip"):
        tokenizer.save_pretrained(folder / "qformer_tokenizer")
    preprocessing = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4], "resample": 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessing))
    return folder
