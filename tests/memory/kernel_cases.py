"""The Triton kernel against the reference and the literal loop; `test_kernel.py` runs this in a process of its own.

On the CPU: TRITON_INTERPRET=1 python -m pytest tests/memory/kernel_cases.py
On a GPU:   python -m pytest tests/memory/kernel_cases.py
"""

import itertools
import os

import pytest
import torch
from torch import Tensor

from memory import Consolidated, consolidate
from tests.memory.greedy_loop import cancelling_tokens, replay

torch.set_num_threads(1)
DEVICE = "cpu" if os.environ.get("TRITON_INTERPRET") == "1" else "cuda"
TOLERANCE = {torch.float32: (1e-5, 1e-6), torch.float16: (2e-3, 1e-4), torch.bfloat16: (1.6e-2, 1e-3)}
METHODS = list(itertools.product(("token_cosine", "mean_dot"), ("weighted", "halving")))


def tokens_of(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Slots that drift, so that neighbours are alike and no two pairs are equally alike."""
    generator = torch.Generator().manual_seed(seed)
    steps = torch.randn(shape, generator=generator) * torch.rand(shape[:2], generator=generator)[..., None, None]
    return (torch.randn((shape[0], 1, *shape[2:]), generator=generator) + steps.cumsum(1)).to(dtype).to(DEVICE)


def assert_same(ours: Consolidated, reference: Consolidated) -> None:
    assert ours.backend == "triton"
    assert reference.backend == "torch"
    assert ours.boundaries.tolist() == reference.boundaries.tolist()
    assert ours.num_kept.tolist() == reference.num_kept.tolist()
    assert ours.num_nonfinite.tolist() == reference.num_nonfinite.tolist()
    torch.testing.assert_close(ours.weights, reference.weights)
    rtol, atol = TOLERANCE[reference.tokens.dtype]
    torch.testing.assert_close(ours.tokens, reference.tokens, rtol=rtol, atol=atol)


def both(tokens: Tensor, keep: int, **arguments: object) -> tuple[Consolidated, Consolidated]:
    ours = consolidate(tokens, keep, backend="triton", **arguments)  # type: ignore[arg-type]
    return ours, consolidate(tokens, keep, backend="torch", **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(("similarity", "merge"), METHODS)
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 2, 1, 3), (2, 7, 3, 19), (1, 5, 34, 2), (1, 4, 2, 131)])
def test_the_kernel_agrees_with_the_reference_at_odd_sizes(
    shape: tuple[int, int, int, int], similarity: str, merge: str
) -> None:
    assert_same(*both(tokens_of(*shape), min(2, shape[1]), similarity=similarity, merge=merge))


@pytest.mark.parametrize(("similarity", "merge"), METHODS)
def test_the_kernel_makes_the_choices_of_the_literal_loop(similarity: str, merge: str) -> None:
    tokens = tokens_of(2, 18, 2, 20, seed=3)
    weights = torch.rand(2, 18, generator=torch.Generator().manual_seed(1)) + 0.5
    result = consolidate(
        tokens, 2, weights=weights.to(DEVICE), similarity=similarity, merge=merge, width=13, backend="triton"
    )
    for b in range(2):
        truth = replay(tokens[b].cpu(), 2, weights=weights[b].tolist(), width=13, kind=similarity, merge=merge)
        assert min(truth.leads) > 1e-5, "the case is a tie: choose another seed"
        assert result.boundaries[b].tolist() == truth.boundaries
        for k, mean in enumerate(truth.means):
            torch.testing.assert_close(result.tokens[b, k].cpu().double(), torch.from_numpy(mean), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("similarity", ["token_cosine", "mean_dot"])
def test_the_kernel_takes_16_bit_tokens(similarity: str, dtype: torch.dtype) -> None:
    assert_same(*both(tokens_of(1, 6, 2, 17, dtype=dtype), 2, similarity=similarity))


def test_keeping_one_and_keeping_all_work() -> None:
    tokens = tokens_of(1, 5, 2, 3)
    assert_same(*both(tokens, 1))
    assert_same(*both(tokens, 5))
    assert torch.equal(consolidate(tokens, 5, backend="triton").tokens, tokens)


def test_more_than_one_tile_of_slots_gives_the_same() -> None:
    assert_same(*both(tokens_of(1, 66, 1, 3, seed=5), 63))
    assert_same(*both(tokens_of(1, 66, 1, 3, seed=5), 64, similarity="mean_dot"))


@pytest.mark.parametrize(("similarity", "num_slots"), [("token_cosine", 130), ("mean_dot", 98)])
def test_every_pair_of_tiles_is_made(similarity: str, num_slots: int) -> None:
    assert_same(*both(tokens_of(1, num_slots, 1, 3, seed=12), num_slots - 2, similarity=similarity))


@pytest.mark.filterwarnings("ignore:(overflow|invalid value|divide by zero):RuntimeWarning")  # numpy's, interpreted
def test_a_token_without_a_direction_counts_nothing_and_breaks_nothing() -> None:
    tokens = tokens_of(1, 5, 2, 4, seed=13)
    tokens[0, 2, 0], tokens[0, 3, 0] = 1e30, 0.0
    ours, reference = both(tokens, 2)
    assert_same(ours, reference)
    assert ours.num_nonfinite.tolist() == [0]


def test_more_parts_than_one_block_give_the_same() -> None:
    assert_same(*both(tokens_of(1, 3, 67, 2, seed=6), 1))


@pytest.mark.parametrize(("similarity", "merge"), METHODS)
def test_padding_barriers_weights_and_broken_slots_are_as_in_the_reference(similarity: str, merge: str) -> None:
    generator = torch.Generator().manual_seed(7)
    tokens = tokens_of(5, 9, 2, 6, seed=7)
    num_valid = torch.tensor([9, 5, 1, 0, 9], dtype=torch.int32)
    for b, valid in enumerate(num_valid.tolist()):
        tokens[b, valid:] = torch.nan  # padding is never looked at
    tokens[0, 2, 1, 5] = torch.nan  # beyond width
    tokens[0, 3, 0, 0] = torch.inf
    tokens[1, 0] = -torch.inf
    tokens[4] = torch.nan
    barriers = torch.rand(5, 8, generator=generator) < 0.4
    ours, reference = both(
        tokens,
        3,
        weights=(torch.rand(5, 9, generator=generator) + 0.1).to(DEVICE),
        num_valid=num_valid.to(DEVICE),
        barriers=barriers.to(DEVICE),
        width=4,
        similarity=similarity,
        merge=merge,
    )
    assert_same(ours, reference)
    assert ours.num_nonfinite.tolist() == [2, 1, 0, 0, 9]
    assert bool(torch.isfinite(ours.tokens).all())


@pytest.mark.parametrize("similarity", ["token_cosine", "mean_dot"])
@pytest.mark.parametrize("merge", ["weighted", "halving"])
def test_equal_slots_tie_and_the_earliest_pair_goes_first(similarity: str, merge: str) -> None:
    tokens = tokens_of(1, 1, 3, 7).expand(2, 9, 3, 7)  # stride 0, too
    ours, reference = both(tokens, 4, similarity=similarity, merge=merge)
    assert ours.boundaries.tolist() == [[0, 6, 7, 8, 9]] * 2
    assert_same(ours, reference)


def test_strided_tokens_give_what_contiguous_ones_give() -> None:
    tokens = tokens_of(4, 6, 3, 10).permute(0, 1, 3, 2)[::2, :, 1::2]
    ours, reference = both(tokens, 2)
    assert not tokens.is_contiguous()
    assert_same(ours, reference)
    assert torch.equal(ours.tokens, consolidate(tokens.contiguous(), 2, backend="triton").tokens)


def test_every_number_of_the_result_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def poisoned(*shape: object, **options: object) -> Tensor:
        fresh = torch.zeros(*shape, **options)  # type: ignore[call-overload]
        return fresh.fill_(torch.nan if fresh.is_floating_point() else 99)  # type: ignore[no-any-return]

    monkeypatch.setattr(torch, "empty", poisoned)
    num_valid = torch.tensor([7, 1], dtype=torch.int32, device=DEVICE)
    assert_same(*both(tokens_of(2, 7, 3, 5), 3, num_valid=num_valid))


def test_tokens_elsewhere_than_the_kernel_runs_fails() -> None:
    with pytest.raises(ValueError, match="expected tokens on"):
        consolidate(torch.ones(1, 2, 1, 1, device="meta" if DEVICE == "cpu" else "cpu"), 1, backend="triton")


@pytest.mark.parametrize("rest", [1e-2, 1e-4, 0.0])
def test_a_token_that_cancels_does_not_outvote_the_others(rest: float) -> None:
    tokens = cancelling_tokens(rest, seed=1).to(DEVICE)
    assert consolidate(tokens, 2, backend="triton").boundaries.tolist() == [[0, 2, 4]]
