"""What a checkpoint knows before it has learned anything."""

import pytest
import torch

from streamer.yard.checkpoint import NEAR_STRENGTH, NEAR_TOKENS, PARTS_PER_SIDE, PICTURE_SIZE, PROMPT_TOKENS, new_model


@pytest.fixture(scope="module")
def model(bundled):
    return new_model(bundled.tokenizer, seed=5)


def test_it_is_small_and_gives_so_many_tokens_as_it_says(model):
    assert sum(parameter.numel() for parameter in model.parameters()) * 2 < 16e6
    pixels = torch.zeros(1, 1, 3, PICTURE_SIZE, PICTURE_SIZE)
    (tokens,) = model.get_image_features(pixel_values=pixels).pooler_output
    assert tokens.shape == (PARTS_PER_SIDE**2, model.config.text_config.hidden_size)


@torch.no_grad()
def test_heads_of_the_first_layers_look_near_and_the_others_anywhere(model):
    text = model.model.text_model
    head_dim = text.config.head_dim
    nothing = torch.zeros(1, 200, text.config.hidden_size)
    cosine, sine = (part[0] for part in text.rotary_emb(nothing, torch.arange(200)[None]))
    for layer, widths in zip(text.layers, (*NEAR_TOKENS, (0, 0, 0)), strict=False):
        query, key = (
            projection(nothing)[0].view(200, -1, head_dim).transpose(0, 1)
            for projection in (layer.self_attn.q_proj, layer.self_attn.k_proj)
        )
        turned = [each * cosine + torch.cat([-each[..., 32:], each[..., :32]], -1) * sine for each in (query, key)]
        scores = (turned[0] @ turned[1].mT / head_dim**0.5)[:, -1].flip(-1)  # by distance from the last token
        for score, width in zip(scores, widths, strict=True):
            if width:
                assert score[0] == pytest.approx(NEAR_STRENGTH, rel=1e-3)
                assert score[width // 2] > 0.9 * NEAR_STRENGTH
                assert score[3 * width :].max() < 0.75 * NEAR_STRENGTH
            else:
                assert not score.any()


@torch.no_grad()
def test_half_of_a_head_can_look_for_what_stands_anywhere_in_a_prompt(model):
    turns = model.model.text_model.rotary_emb.inv_freq * PROMPT_TOKENS
    assert (turns < 0.1).sum() >= 0.4 * len(turns)
    assert (turns > 20).sum() >= 0.4 * len(turns)


def test_numbers_are_like_the_numbers_near_them(model, bundled):
    weight = model.get_input_embeddings().weight
    ids = [bundled.tokenizer.convert_tokens_to_ids(text) for text in ("20", "21", "27")]
    one, next_one, far = torch.nn.functional.normalize(weight[ids], dim=-1)
    assert one @ next_one > one @ far + 0.2
