"""The table of presets: what is derived from its facts is what is published of these checkpoints."""

from __future__ import annotations

import re

import pytest
import torch
from transformers import AutoConfig, AutoModelForImageTextToText

from llm.families import FAMILIES
from llm.presets import PRESETS

NAMES = [preset.name for preset in PRESETS]
PUBLISHED_PARAMETERS = {
    "Qwen/Qwen3-VL-2B-Instruct": 2_127_532_032,
    "OpenGVLab/InternVL3-1B-hf": 938e6,
    "google/gemma-3-4b-it": 4.30e9,
}
"""As people quote the hub's own count; of the others the name tells it roughly."""
ROUNDED_PARAMETERS = {
    "llava-hf/llava-onevision-qwen2-0.5b-ov-hf": 0.9e9,
    "llava-hf/llava-onevision-qwen2-7b-ov-hf": 8e9,
    "Salesforce/blip2-opt-2.7b": 3.7e9,
    "Salesforce/instructblip-vicuna-7b": 7.9e9,
}
"""Of those whose name tells the language model's size alone; the hub's count as its pages round it, from memory."""
IN_A_PROMPT = {
    "HuggingFaceTB/SmolVLM2-256M-Video-Instruct": (64, 576),
    "HuggingFaceTB/SmolVLM2-500M-Video-Instruct": (64, 960),
    "HuggingFaceTB/SmolVLM2-2.2B-Instruct": (81, 2048),
    "OpenGVLab/InternVL3-1B-hf": (256, 896),
    "Qwen/Qwen3-VL-4B-Instruct": (144, 10240),
    "Qwen/Qwen2.5-VL-3B-Instruct": (144, 2048),
    "google/gemma-3-4b-it": (256, 2560),
    "llava-hf/llava-1.5-7b-hf": (576, 4096),
    "HuggingFaceM4/Idefics3-8B-Llama3": (169, 4096),
    "llava-hf/llava-onevision-qwen2-0.5b-ov-hf": (730, 896),
    "Salesforce/blip2-opt-2.7b": (32, 2560),
    "Salesforce/instructblip-vicuna-7b": (257, 1408),
}


@pytest.mark.parametrize("preset", PRESETS, ids=NAMES)
def test_the_table_holds_what_the_model_of_these_facts_has(preset):
    config = AutoConfig.for_model(preset.family, **preset.facts)
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)
    shape = preset.shape
    assert preset.family in FAMILIES
    assert shape.family == preset.family
    assert shape.num_parameters == sum(weights.numel() for weights in model.parameters())
    named = model.state_dict()
    key = next(
        name
        for name in named
        if re.search(r"(text_model|language_model)\.(\S+\.)?layers\.0\.self_attn\.k_proj\.weight", name)
    )
    text = config.get_text_config(decoder=True)
    per_layer = 2 * named[key].shape[0]
    values, (windowed, window) = shape.values_per_token, shape.windowed
    assert values + windowed == per_layer * text.num_hidden_layers
    assert (windowed > 0) == (preset.family == "gemma3")
    assert window == (1024 if windowed else window)
    assert shape.prompt_tokens in (4096, 4096 - 96, 2048 - 96)


@pytest.mark.parametrize("preset", PRESETS, ids=NAMES)
def test_it_has_as_many_parameters_as_is_published(preset):
    if (published := PUBLISHED_PARAMETERS.get(preset.name)) is not None:
        assert preset.shape.num_parameters == pytest.approx(published, rel=1e-3)
        return
    if (rounded := ROUNDED_PARAMETERS.get(preset.name)) is not None:
        assert preset.shape.num_parameters == pytest.approx(rounded, rel=0.015)
        return
    size, unit = re.search(r"(\d+(?:\.\d+)?)([BM])", preset.name, re.IGNORECASE).groups()
    named = float(size) * (1e9 if unit.upper() == "B" else 1e6)
    assert preset.shape.num_parameters == pytest.approx(named, rel=0.26)


@pytest.mark.parametrize("name", IN_A_PROMPT)
def test_a_frame_has_the_tokens_that_the_family_gives_it(name):
    shape = next(preset for preset in PRESETS if preset.name == name).shape
    assert (shape.num_tokens, shape.width) == IN_A_PROMPT[name]


def test_auto_prefers_in_one_order_and_takes_none_that_is_gated():
    ranked = sorted(preset.auto_rank for preset in PRESETS if preset.auto_rank)
    assert ranked == list(range(1, len(ranked) + 1))
    assert not [preset.name for preset in PRESETS if preset.auto_rank and preset.is_gated]
