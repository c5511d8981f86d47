"""A given tower, wrapped."""

import numpy as np
import pytest
import torch

from encoders import Preprocessing, VisionEncoder

PREPROCESSING = Preprocessing(8, 8, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def _patches(pixels: torch.Tensor) -> torch.Tensor:
    """A tower without weights: four patches of 4x4, each its 48 values."""
    return torch.nn.functional.unfold(pixels, 4, stride=4).transpose(1, 2)


def _encoder(project=_patches) -> VisionEncoder:
    return VisionEncoder(project, PREPROCESSING, device=torch.device("cpu"), dtype=torch.float32)


def test_the_shape_of_the_tokens_is_learned_from_the_tower():
    encoder = _encoder()
    assert (encoder.num_tokens, encoder.width) == (4, 48)


def test_a_batch_gives_each_picture_its_own_tokens_in_order():
    pictures = [np.full((8, 8, 3), value, np.uint8) for value in (0, 51, 255)]
    tokens = _encoder().encode(pictures)
    assert tokens.shape == (3, 4, 48)
    torch.testing.assert_close(tokens[:, 0, 0], torch.tensor([0.0, 0.2, 1.0]))


def test_no_gradient_is_kept():
    assert (
        not _encoder(lambda pixels: _patches(pixels) * torch.ones(48, requires_grad=True))
        .encode([np.zeros((8, 8, 3), np.uint8)])
        .requires_grad
    )


@pytest.mark.parametrize(
    ("pictures", "message"),
    [
        ([], "at least one picture"),
        ([np.zeros((8, 8, 3), np.float32)], "float32"),
        ([np.zeros((8, 8), np.uint8)], r"\[8, 8\]"),
        ([np.zeros((8, 8, 4), np.uint8)], r"\[8, 8, 4\]"),
    ],
)
def test_what_is_no_picture_fails(pictures, message):
    with pytest.raises(ValueError, match=message):
        _encoder().encode(pictures)


def test_a_tower_that_loses_a_picture_fails():
    with pytest.raises(ValueError, match="not \\[B, N, W\\]"):
        _encoder(lambda pixels: _patches(pixels)[:1]).encode([np.zeros((8, 8, 3), np.uint8)] * 2)
