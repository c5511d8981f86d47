"""A checkpoint of a preset's true shape with random weights: as fast as the real one, and as wise as noise."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForImageTextToText, PreTrainedTokenizerFast

from encoders import Preprocessing
from llm.families import FAMILIES, InstructBlip
from llm.huggingface import BUNDLED_FOLDER, HuggingFaceModel
from llm.presets import Preset

_IMAGE_WORDS = {
    "qwen2_5_vl": "<|image_pad|>",
    "qwen3_vl": "<|image_pad|>",
    "internvl": "<IMG_CONTEXT>",
    "gemma3": "<image_soft_token>",
}
_MARKS = {"vision_start_token_id": "<|vision_start|>", "vision_end_token_id": "<|vision_end|>"}
_MORE_MARKS = {"boi_token_index": "<start_of_image>", "eoi_token_index": "<end_of_image>"}
_PROCESSING = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "resample": 3}
_TWO_STEPS = {"resample": 1, "size": {"longest_edge": 2048}, "max_image_size": {"longest_edge": 512}}
"""What SmolVLM's own processor does: to 2,048 pixels with Lanczos, then to 512."""


def random_checkpoint(preset: Preset, *, device: torch.device, dtype: torch.dtype) -> HuggingFaceModel:
    """The bundled checkpoint's words stand in for its tokenizer's: a prompt has about as many of them."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(BUNDLED_FOLDER)
    image = _IMAGE_WORDS.get(preset.family, "<image>")
    marks = [image, *_MARKS.values(), *_MORE_MARKS.values(), "<img>", "</img>"]
    tokenizer.add_special_tokens({"additional_special_tokens": marks}, replace_extra_special_tokens=False)
    config: Any = AutoConfig.for_model(preset.family, **preset.facts)
    config.image_token_id = tokenizer.convert_tokens_to_ids(image)
    for name, word in {**_MARKS, **_MORE_MARKS}.items():
        if hasattr(config, name):
            setattr(config, name, tokenizer.convert_tokens_to_ids(word))
    torch.manual_seed(3)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        model = AutoModelForImageTextToText.from_config(config).to(device).eval()
    finally:
        torch.set_default_dtype(before)
    family = FAMILIES[preset.family](model, tokenizer)
    if isinstance(family, InstructBlip):
        family.qformer_tokenizer = PreTrainedTokenizerFast.from_pretrained(BUNDLED_FOLDER)
    two_steps = _TWO_STEPS if preset.family in ("smolvlm", "idefics3") else {}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "preprocessor_config.json").write_text(json.dumps({**_PROCESSING, **two_steps}))
        preprocessing = Preprocessing.from_folder(Path(folder), size=family.size(config), fit=family.fit)
    loaded = HuggingFaceModel(model, tokenizer, family, preprocessing, name=preset.name, card={})
    loaded._stop_ids = frozenset()  # noise would end an answer at any word
    return loaded
