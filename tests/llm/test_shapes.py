"""What a config says of a checkpoint is what the checkpoint, once it is there, turns out to be: for every family."""

from __future__ import annotations

import collections

import pytest
import torch
from transformers import AutoModelForImageTextToText, Qwen2VLConfig

from llm.families import FAMILIES
from llm.shapes import ANSWER_TOKENS, shape_of
from tests.llm.tiny import CONFIGS, LLAMA

NUM_IN_PROMPT = 30


def _config(name):
    return CONFIGS[name](collections.defaultdict(lambda: 7, size=1024))


@pytest.fixture(params=CONFIGS)
def built(request):
    """(config, model) of a family."""
    config = _config(request.param)
    return config, AutoModelForImageTextToText.from_config(config).eval()


def test_parameters_and_tokens_are_those_of_the_model(built):
    config, model = built
    shape = shape_of(config)
    family = FAMILIES[config.model_type](model, None)
    with torch.inference_mode():
        tokens = family.project(torch.rand(1, 3, *family.size(config)))  # zeros are padding to some
    assert shape.num_parameters == sum(weights.numel() for weights in model.parameters())
    assert (shape.num_tokens, shape.width) == tuple(tokens.shape[1:])
    assert shape.num_read == family.num_read(shape.num_tokens)
    assert shape.pixels == family.size(config)


def test_a_prompt_costs_what_the_cache_then_holds(built):
    config, model = built
    shape = shape_of(config)
    family = FAMILIES[config.model_type](model, None)
    ids = torch.zeros(1, NUM_IN_PROMPT, dtype=torch.int64)
    with torch.inference_mode():
        reading = family.reading(ids, torch.zeros(0, shape.num_read, config.get_text_config(decoder=True).hidden_size))
        list(reading.chunks(8))
    caches = [reading.cache]
    if "t5" in str(type(model.get_decoder())).lower():  # what the encoder read, and one token of the decoder's
        caches = [reading.cache.cross_attention_cache]
    values, windowed, window = shape.values_per_token, *shape.windowed
    kept = sum(layer.keys.numel() + layer.values.numel() for cache in caches for layer in cache.layers)
    expected = values * NUM_IN_PROMPT + windowed * min(NUM_IN_PROMPT, window)
    assert expected * 0.9 <= kept <= expected


def test_quantisation_leaves_out_all_but_the_layers_of_the_language_model(built):
    config, model = built
    shape = shape_of(config)
    kept = [name for name, _ in model.named_modules() if name in shape.outside]
    assert len(kept) == len(shape.outside), "a name that no module has"
    linear = {
        name: module.weight.numel()
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and not any(name == each or name.startswith(f"{each}.") for each in kept)
    }
    assert linear
    assert not [name for name in linear if "vision" in name or "visual" in name or "projector" in name]
    assert shape.num_linear == sum(linear.values())


def test_a_prompt_is_no_longer_than_the_language_model_reads():
    assert shape_of(_config("blip-2 with t5")).prompt_tokens == 512 - ANSWER_TOKENS
    assert shape_of(_config("smolvlm")).prompt_tokens == 4096 - ANSWER_TOKENS
    assert shape_of(_config("smolvlm"), prompt_tokens=1000).prompt_tokens == 1000


def test_a_family_unlike_all_others_has_no_shape_and_fails():
    config = Qwen2VLConfig(text_config={key: value for key, value in LLAMA.items() if key != "model_type"})
    with pytest.raises(AttributeError):
        shape_of(config)
