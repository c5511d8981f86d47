"""Tokens on disk are what they were, to within half a scale."""

import numpy as np
import pytest
import torch

from memory import QuantisedTokens, quantise


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 16, 192), (3, 5, 63)])
def test_no_channel_is_off_by_more_than_half_a_scale(dtype, shape):
    tokens = (torch.randn(shape, generator=torch.Generator().manual_seed(1)) * 3).to(dtype)
    kept = quantise(tokens)
    assert len(kept) == shape[0]
    for each, slot in zip(kept, tokens.float().numpy(), strict=True):
        assert each.shape == shape[1:]
        assert each.nbytes == shape[1] * (shape[2] + 4)
        off = np.abs(each.restored() - slot)
        assert (off <= 0.5001 * each.scales[:, None]).all()
        assert (each.scales <= np.abs(slot).max(axis=1) / 127 * 1.0001).all()


def test_a_token_of_nothing_stays_nothing():
    (kept,) = quantise(torch.zeros(1, 2, 4))
    assert not kept.restored().any()


def test_what_is_no_bytes_of_tokens_fails():
    with pytest.raises(ValueError, match=r"levels int8 \[N, W\], received float32"):
        QuantisedTokens(np.zeros((2, 3), np.float32), np.zeros(2, np.float32))
    with pytest.raises(ValueError, match=r"scales float32 \[2\], received float32 \[3\]"):
        QuantisedTokens(np.zeros((2, 3), np.int8), np.zeros(3, np.float32))
