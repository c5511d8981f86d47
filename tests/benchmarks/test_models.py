"""What bench_models measures, on a checkpoint small enough for a test."""

import asyncio
from collections import defaultdict

import pytest
import torch

from benchmarks.bench_preprocessing import beside_pillow
from benchmarks.models.measure import answering, beside_a_camera, encoding, plainly
from benchmarks.models.random_weights import random_checkpoint
from llm.presets import PRESETS, Preset
from tests.llm.tiny import CONFIGS

CPU = torch.device("cpu")
VISION = {
    "hidden_size": 24,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 64,
    "patch_size": 8,
}
TEXT = {
    "model_type": "llama",
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 1200,
    "max_position_embeddings": 2048,
}
SMALL = Preset("small", "smolvlm", {"scale_factor": 2, "vision_config": VISION, "text_config": TEXT})


def test_all_that_a_small_checkpoint_costs_is_measured():
    model = random_checkpoint(SMALL, device=CPU, dtype=torch.float32)
    encoded = encoding(model)
    assert encoded["tokens_per_frame"] == 16
    assert encoded["bytes_per_frame"] == 16 * 32 * 4
    assert encoded["frames_per_second"] > 0
    few, many = answering(model, 16), answering(model, 64)
    assert few["slots"] == 16
    assert few["slots_in_prompt"] < many["slots_in_prompt"] <= 64
    assert few["prompt_tokens"] < many["prompt_tokens"] <= 2048
    assert few["first_token_seconds"] > 0
    assert few["words_per_second"] > 0
    plain = plainly(model, 8)
    assert plain["first_token_seconds"] > 0
    assert plain["frames"] == 8


def test_what_a_model_cannot_read_in_plain_transformers_is_said():
    model = random_checkpoint(SMALL, device=CPU, dtype=torch.float32)
    told = plainly(model, 256)
    assert told["first_token_seconds"] is None
    assert told["why"] == "it reads 2048 tokens at most"


def test_questions_beside_a_camera_are_counted():
    model = random_checkpoint(SMALL, device=CPU, dtype=torch.float32)
    figures = asyncio.run(beside_a_camera(model, num_questions=2, least_seconds=2.0))
    assert figures["questions"] >= 2
    assert figures["evidence_slots"] > 0
    assert figures["frames_encoded_per_second"] > 0


@pytest.mark.parametrize("family", sorted({preset.family for preset in PRESETS}))
def test_every_family_that_a_preset_is_of_can_be_measured(family):
    facts = CONFIGS[family](defaultdict(int, size=1200)).to_dict()
    del facts["model_type"]  # it is the family
    model = random_checkpoint(Preset("small", family, facts), device=CPU, dtype=torch.float32)
    assert encoding(model)["tokens_per_frame"] == model.encoder.num_tokens
    ours, plain = answering(model, 4), plainly(model, 4)
    assert ours["slots"] == 4
    assert ours["first_token_seconds"] > 0
    assert plain["first_token_seconds"] > 0


def test_preprocessing_is_measured_beside_the_same_pixels_of_pillow():
    figures = beside_pillow("internvl", rounds=1)
    assert figures["pixels"] == "448 x 448"
    assert figures["mean_difference"] <= 1 / 255
    assert figures["pillow_over_ours"] == pytest.approx(figures["pillow_ms"] / figures["ours_ms"], abs=0.1)
