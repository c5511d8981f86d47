"""The reference and the CPU path against a literal float64 loop, and what must hold for any tokens."""

import itertools
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from benchmarks.published_loop import published_loop
from memory import Consolidated, consolidate
from memory.similarity_merge.cpu import LARGE_BYTES
from tests.memory.greedy_loop import cancelling_tokens, mean_of_choices, replay

torch.set_num_threads(1)
METHODS = list(itertools.product(("token_cosine", "mean_dot"), ("weighted", "halving")))
TOLERANCE = {torch.float32: (1e-5, 1e-6), torch.float16: (1e-3, 1e-4), torch.bfloat16: (8e-3, 1e-3)}
BACKENDS = ["torch", "cpu"]
few = settings(max_examples=50, deadline=None, derandomize=True)


def tokens_of(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(shape, generator=generator) + torch.randn(shape, generator=generator).cumsum(1)).to(dtype)


@st.composite
def problems(draw: st.DrawFn) -> tuple[Tensor, int, dict[str, Any]]:
    num_cameras, num_slots = draw(st.integers(1, 3)), draw(st.integers(1, 12))
    num_tokens, width = draw(st.integers(1, 4)), draw(st.integers(1, 9))
    seed = draw(st.integers(0, 10_000))
    generator = torch.Generator().manual_seed(seed)
    arguments = {
        "weights": torch.randint(1, 9, (num_cameras, num_slots), generator=generator).float(),
        "num_valid": torch.randint(0, num_slots + 1, (num_cameras,), generator=generator),
        "barriers": torch.rand(num_cameras, num_slots - 1, generator=generator)
        < draw(st.sampled_from([0.0, 0.3, 1.0])),
        "similarity": draw(st.sampled_from(["token_cosine", "mean_dot"])),
        "backend": draw(st.sampled_from(BACKENDS)),
    }
    return tokens_of(num_cameras, num_slots, num_tokens, width, seed=seed), draw(st.integers(1, num_slots)), arguments


@st.composite
def hard_problems(draw: st.DrawFn) -> tuple[Tensor, int, dict[str, Any]]:
    """As `problems`, with both merges, similarity on a part of the channels, and slots that are broken anywhere."""
    tokens, keep, arguments = draw(problems())
    for place in draw(st.lists(st.tuples(*(st.integers(0, size - 1) for size in tokens.shape)), max_size=3)):
        tokens[place] = draw(st.sampled_from([torch.nan, torch.inf, -torch.inf]))
    arguments["merge"] = draw(st.sampled_from(["weighted", "halving"]))
    arguments["width"] = draw(st.integers(1, tokens.shape[-1]))
    return tokens, keep, arguments


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("similarity", "merge"), METHODS)
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 3), (18, 5, 33), (63, 3, 1), (40, 1, 100)])
def test_the_choices_are_those_of_the_literal_loop(
    shape: tuple[int, int, int], similarity: Any, merge: Any, dtype: torch.dtype, backend: Any
) -> None:
    tokens = tokens_of(1, *shape, seed=5, dtype=dtype)
    generator = torch.Generator().manual_seed(6)
    weights = torch.rand(1, shape[0], generator=generator) + 0.5
    barriers = torch.rand(1, shape[0] - 1, generator=generator) < 0.1
    width = (shape[2] + 1) // 2
    keep = min(9, shape[0])
    result = consolidate(
        tokens,
        keep,
        weights=weights,
        barriers=barriers,
        width=width,
        similarity=similarity,
        merge=merge,
        backend=backend,
    )
    truth = replay(
        tokens[0],
        keep,
        weights=weights[0].tolist(),
        barriers=barriers[0].tolist(),
        width=width,
        kind=similarity,
        merge=merge,
    )
    assert result.backend == backend
    if width > 1 or similarity == "mean_dot":  # a cosine of single numbers is 1 or -1: all ties
        assert all(lead > 1e-5 for lead in truth.leads), "the case is a tie: choose another seed"
        assert result.boundaries[0, : len(truth.boundaries)].tolist() == truth.boundaries
        rtol, atol = TOLERANCE[dtype]
        means = torch.stack([torch.from_numpy(mean) for mean in truth.means])
        torch.testing.assert_close(result.tokens[0, : len(means)].double(), means, rtol=rtol, atol=atol)
        torch.testing.assert_close(result.weights[0, : len(means)].double(), torch.tensor(truth.weights).double())


LARGE = [(512, 1, 3, 24), (256, 1, 4, 96), (6, 2, 1024, 5), (300, 150, 1, 16), (5, 1, 2, 8192), (129, 64, 7, 63)]


def assert_right(result: Consolidated, tokens: Tensor, keep: int, *, similarity: str, merge: str) -> None:
    """Of one camera without barriers: the literal loop's choices where they are clear, and the mean of what was chosen.

    Where the loop was unsure (a lead below 1e-5, or one that float32's noise beside the dots' size may hide), only
    `weighted` can be judged: its values follow from the boundaries alone.
    """
    truth = replay(tokens, keep, kind=similarity, merge=merge)
    scale = float(tokens.double().abs().max())
    boundaries = result.boundaries[0].tolist()
    if all(lead > 1e-5 for lead in truth.leads):
        assert boundaries == truth.boundaries
        means = torch.stack([torch.from_numpy(mean) for mean in truth.means])
    elif merge == "weighted":
        means = mean_of_choices(tokens, boundaries, [1.0] * len(tokens))
    else:
        return
    torch.testing.assert_close(result.tokens[0].double(), means, rtol=1e-5, atol=1e-6 * max(1.0, scale))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("similarity", "merge"), METHODS)
@pytest.mark.parametrize("shape", LARGE)
def test_large_shapes_are_as_exact(shape: tuple[int, int, int, int], similarity: Any, merge: Any, backend: Any) -> None:
    num_slots, keep, num_tokens, width = shape
    tokens = tokens_of(1, num_slots, num_tokens, width, seed=8)
    result = consolidate(tokens, keep, similarity=similarity, merge=merge, backend=backend)
    assert_right(result, tokens[0], keep, similarity=similarity, merge=merge)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("num_slots", "keep", "seed"), [(18, 2, 0), (18, 2, 1), (18, 1, 2), (64, 32, 3), (64, 1, 4)])
def test_mean_dot_and_halving_choose_what_the_published_loop_chooses(
    num_slots: int, keep: int, seed: int, backend: Any
) -> None:
    tokens = tokens_of(1, num_slots, 5, 40, seed=seed)
    published = published_loop(list(tokens[0]), keep)
    truth = replay(tokens[0], keep, kind="mean_dot", merge="halving")
    assert min(truth.leads) > 1e-5, "the case is a tie: choose another seed"
    result = consolidate(tokens, keep, similarity="mean_dot", merge="halving", backend=backend)
    assert result.boundaries[0].tolist() == truth.boundaries
    torch.testing.assert_close(result.tokens[0], torch.stack(published), rtol=1e-5, atol=1e-5)


def test_the_published_loop_takes_the_earliest_of_equal_pairs() -> None:
    tokens = tokens_of(1, 1, 3, 7)[0].expand(5, 3, 7).clone()
    tokens[4] *= -1
    assert torch.equal(torch.stack(published_loop(list(tokens), 2)), tokens[3:])


@pytest.mark.parametrize("similarity", ["token_cosine", "mean_dot"])
def test_merging_256_slots_to_one_stays_near_float64(similarity: Any) -> None:
    tokens = tokens_of(1, 256, 4, 64, seed=9)
    for merge, backend in itertools.product(("weighted", "halving"), BACKENDS):
        result = consolidate(tokens, 1, similarity=similarity, merge=merge, backend=backend)  # type: ignore[arg-type]
        truth = replay(tokens[0], 1, kind=similarity, merge=merge)
        if merge == "weighted" or min(truth.leads) > 1e-5:
            error = (result.tokens[0, 0].double() - torch.from_numpy(truth.means[0])).norm()
            assert error / torch.from_numpy(truth.means[0]).norm() < 1e-6


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("similarity", "merge"), METHODS)
@pytest.mark.parametrize("scale", [3e38, 1e30, 1e15, 1e-13, 1e-30, 0.0])
def test_any_finite_size_gives_finite_means_of_what_was_chosen(
    scale: float, similarity: Any, merge: Any, backend: Any
) -> None:
    tokens = torch.randn((1, 9, 3, 5), generator=torch.Generator().manual_seed(2)).clamp(-1, 1) * scale
    result = consolidate(tokens, 3, similarity=similarity, merge=merge, backend=backend)
    assert result.num_nonfinite.tolist() == [0]
    assert bool(torch.isfinite(result.tokens).all())
    assert result.weights.sum() == 9
    if merge == "weighted":
        means = mean_of_choices(tokens[0], result.boundaries[0].tolist(), [1.0] * 9)
        torch.testing.assert_close(result.tokens[0].double(), means, rtol=1e-5, atol=1e-6 * scale)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("scale", [1e15, 1e-9])
def test_the_size_of_the_tokens_does_not_change_the_choices(scale: float, backend: Any) -> None:
    tokens = tokens_of(1, 18, 3, 20, seed=4)
    for similarity in ("token_cosine", "mean_dot"):
        small = consolidate(tokens, 4, similarity=similarity, backend=backend)  # type: ignore[arg-type]
        large = consolidate(tokens * scale, 4, similarity=similarity, backend=backend)  # type: ignore[arg-type]
        assert small.boundaries.tolist() == large.boundaries.tolist()


@pytest.mark.parametrize("backend", BACKENDS)
def test_float16_at_its_limit_does_not_overflow(backend: Any) -> None:
    tokens = torch.full((1, 6, 2, 8), 65504.0, dtype=torch.float16)
    tokens[0, 3:] *= -1
    for similarity in ("token_cosine", "mean_dot"):
        result = consolidate(tokens, 2, similarity=similarity, backend=backend)  # type: ignore[arg-type]
        assert result.boundaries.tolist() == [[0, 3, 6]]
        assert torch.equal(result.tokens, tokens[:, [0, 3]])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("similarity", "merge"), METHODS)
def test_a_still_scene_stays_exactly_as_it_is(similarity: Any, merge: Any, backend: Any) -> None:
    slot = torch.randn((1, 1, 7, 50), generator=torch.Generator().manual_seed(3))
    weights = torch.rand((1, 100), generator=torch.Generator().manual_seed(4)) + 0.1
    result = consolidate(
        slot.expand(1, 100, 7, 50), 3, weights=weights, similarity=similarity, merge=merge, backend=backend
    )
    assert torch.equal(result.tokens, slot.expand(1, 3, 7, 50))
    assert result.boundaries.tolist() == [[0, 98, 99, 100]]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(hard_problems())
def test_reference_and_cpu_path_agree(problem: tuple[Tensor, int, dict[str, Any]]) -> None:
    tokens, keep, arguments = problem
    ours = consolidate(tokens, keep, **{**arguments, "backend": "cpu"})
    reference = consolidate(tokens, keep, **{**arguments, "backend": "torch"})
    assert (ours.backend, reference.backend) == ("cpu", "torch")
    assert ours.num_kept.tolist() == reference.num_kept.tolist()
    assert ours.num_nonfinite.tolist() == reference.num_nonfinite.tolist()
    if arguments["width"] > 1 or arguments["similarity"] == "mean_dot":  # cosines of single numbers are all ties
        assert ours.boundaries.tolist() == reference.boundaries.tolist()
        torch.testing.assert_close(ours.tokens, reference.tokens, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(ours.weights, reference.weights)


@pytest.mark.parametrize(("similarity", "merge"), METHODS)
def test_cameras_side_by_side_give_what_each_gives_alone(similarity: Any, merge: Any) -> None:
    tokens = tokens_of(16, 40, 3, 20, dtype=torch.bfloat16)
    num_valid = torch.arange(16) * 2 + 10
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        together = consolidate(tokens, 5, num_valid=num_valid, similarity=similarity, merge=merge, backend="cpu")
    finally:
        torch.set_num_threads(before)
    for b in range(16):
        alone = consolidate(
            tokens[b : b + 1], 5, num_valid=num_valid[b : b + 1], similarity=similarity, merge=merge, backend="cpu"
        )
        assert torch.equal(together.tokens[b], alone.tokens[0])
        assert torch.equal(together.boundaries[b], alone.boundaries[0])
        assert torch.equal(together.weights[b], alone.weights[0])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("rest", [0.1, 1e-2, 1e-3, 1e-4, 1e-6, 0.0])
def test_a_token_that_cancels_does_not_outvote_the_others(rest: float, backend: Any) -> None:
    for seed in range(10):
        tokens = cancelling_tokens(rest, seed)
        truth = replay(tokens[0], 2, kind="token_cosine", merge="weighted")
        assert truth.boundaries == [0, 2, 4]
        assert consolidate(tokens, 2, backend=backend).boundaries[0].tolist() == truth.boundaries


@pytest.mark.parametrize("merge", ["weighted", "halving"])
@pytest.mark.parametrize("keep", [1, 2, 255])
def test_a_large_memory_is_cut_between_threads_and_stays_the_same(keep: int, merge: Any) -> None:
    tokens = tokens_of(1, 257, 16, 600)
    tokens[0, 100, 3, 5] = torch.nan
    assert tokens.nbytes > LARGE_BYTES
    barriers = torch.zeros(1, 256, dtype=torch.bool)
    barriers[0, [40, 41, 200]] = True
    arguments: Any = {"barriers": barriers, "width": 500, "similarity": "mean_dot", "merge": merge, "backend": "cpu"}
    alone, before = consolidate(tokens, keep, **arguments), torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        together = consolidate(tokens, keep, **arguments)
    finally:
        torch.set_num_threads(before)
    assert before == 1
    for one, other in ((alone.tokens, together.tokens), (alone.weights, together.weights)):
        assert torch.equal(one, other)
    assert torch.equal(alone.boundaries, together.boundaries)
    assert (alone.num_nonfinite.tolist(), together.num_nonfinite.tolist()) == ([1], [1])


def test_the_fast_path_runs_on_the_cpu_unless_told_otherwise() -> None:
    assert consolidate(torch.ones(1, 2, 1, 1), 1).backend == "cpu"
    assert consolidate(torch.ones(1, 2, 1, 1), 1, backend="torch").backend == "torch"
    with pytest.raises(ValueError, match="a device that holds numbers"):
        consolidate(torch.ones(1, 2, 1, 1, device="meta"), 1, backend="cpu")


@few
@given(problems())
def test_boundaries_partition_the_newest_slots(problem: tuple[Tensor, int, dict[str, Any]]) -> None:
    tokens, keep, arguments = problem
    result = consolidate(tokens, keep, **arguments)
    for b, valid in enumerate(arguments["num_valid"].tolist()):
        kept = int(result.num_kept[b])
        boundaries = result.boundaries[b].tolist()
        walls = arguments["barriers"][b, : max(0, valid - 1)].tolist()
        assert boundaries[kept:] == [valid] * (keep + 1 - kept)
        assert all(start < stop for start, stop in itertools.pairwise(boundaries[: kept + 1]))
        assert kept == min(keep, valid)
        assert (boundaries[0] > 0) == (sum(walls) + 1 > keep and valid > 0)
        for start, stop in itertools.pairwise(boundaries[: kept + 1]):
            assert not any(walls[start : stop - 1]), "merged over a barrier"


@few
@given(problems())
def test_survivors_are_the_mean_of_all_their_frames(problem: tuple[Tensor, int, dict[str, Any]]) -> None:
    tokens, keep, arguments = problem
    result = consolidate(tokens, keep, merge="weighted", **arguments)
    for b in range(len(tokens)):
        for k in range(int(result.num_kept[b])):
            rows = slice(int(result.boundaries[b, k]), int(result.boundaries[b, k + 1]))
            frames = tokens[b, rows].double().repeat_interleave(arguments["weights"][b, rows].long(), 0)
            torch.testing.assert_close(result.tokens[b, k].double(), frames.mean(0), rtol=1e-5, atol=1e-5)
            assert int(result.weights[b, k]) == len(frames)


@few
@given(problems())
def test_the_other_cameras_of_a_batch_change_nothing(problem: tuple[Tensor, int, dict[str, Any]]) -> None:
    tokens, keep, arguments = problem
    together = consolidate(tokens, keep, **arguments)
    for b in range(len(tokens)):
        own = {k: v[b : b + 1] if isinstance(v, Tensor) else v for k, v in arguments.items()}
        alone = consolidate(tokens[b : b + 1], keep, **own)
        assert torch.equal(alone.tokens[0], together.tokens[b])
        assert torch.equal(alone.boundaries[0], together.boundaries[b])


@few
@given(problems())
def test_keeping_all_is_the_identity(problem: tuple[Tensor, int, dict[str, Any]]) -> None:
    tokens, _, arguments = problem
    num_slots = tokens.shape[1]
    given_arguments = {name: arguments[name] for name in ("weights", "barriers", "backend")}
    result = consolidate(tokens, num_slots, **given_arguments)
    assert torch.equal(result.tokens, tokens)
    assert torch.equal(result.weights, arguments["weights"])
    assert result.boundaries.tolist() == [list(range(num_slots + 1))] * len(tokens)


@few
@given(problems())
def test_without_barriers_the_sum_of_weights_is_kept(problem: tuple[Tensor, int, dict[str, Any]]) -> None:
    tokens, keep, arguments = problem
    result = consolidate(tokens, keep, weights=arguments["weights"], backend=arguments["backend"])
    assert torch.equal(result.weights.sum(1), arguments["weights"].sum(1))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("similarity", "merge"), METHODS)
def test_equal_slots_tie_and_the_earliest_pair_goes_first(similarity: Any, merge: Any, backend: Any) -> None:
    tokens = tokens_of(1, 1, 3, 7).expand(2, 9, 3, 7)
    result = consolidate(tokens, 4, similarity=similarity, merge=merge, backend=backend)
    assert result.boundaries.tolist() == [[0, 6, 7, 8, 9]] * 2
    assert torch.equal(result.tokens, tokens[:, :4])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("similarity", "merge"), METHODS)
@pytest.mark.parametrize("channel", [0, 4])
def test_a_broken_slot_weighs_nothing_and_changes_nobody(
    channel: int, similarity: Any, merge: Any, backend: Any
) -> None:
    """Broken where similarity looks, and where it does not."""
    whole = tokens_of(1, 8, 2, 5)
    for place in range(9):
        for poison in (torch.nan, torch.inf, -torch.inf):
            broken = torch.cat([whole[:, :place], torch.zeros(1, 1, 2, 5), whole[:, place:]], 1)
            broken[0, place, 1, channel] = poison
            ours = consolidate(broken, 3, width=4, similarity=similarity, merge=merge, backend=backend)
            truth = consolidate(whole, 3, width=4, similarity=similarity, merge=merge, backend=backend)
            assert torch.equal(ours.tokens, truth.tokens)
            assert torch.equal(ours.weights, truth.weights)
            assert ours.num_nonfinite.tolist() == [1]


@pytest.mark.parametrize("backend", BACKENDS)
def test_where_all_slots_are_broken_nothing_weighs_anything(backend: Any) -> None:
    result = consolidate(torch.full((1, 4, 2, 3), torch.nan), 2, backend=backend)
    assert torch.equal(result.tokens, torch.zeros(1, 2, 2, 3))
    assert result.weights.tolist() == [[0.0, 0.0]]
    assert result.num_nonfinite.tolist() == [4]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("similarity", ["token_cosine", "mean_dot"])
def test_a_broken_slot_that_cannot_be_merged_away_stays_as_zeros(similarity: Any, backend: Any) -> None:
    tokens = tokens_of(1, 5, 2, 3)
    tokens[0, 2, 0, 0] = torch.nan
    kept = consolidate(tokens, 5, similarity=similarity, backend=backend)
    barriers = torch.tensor([[False, True, True, False]])
    walled = consolidate(tokens, 3, barriers=barriers, similarity=similarity, backend=backend)
    assert kept.weights.tolist() == [[1, 1, 0, 1, 1]]
    assert torch.equal(
        kept.tokens[0], torch.where(torch.isfinite(tokens[0]).all(-1).all(-1)[:, None, None], tokens[0], 0)
    )
    assert walled.weights.tolist() == [[2, 0, 2]]
    assert torch.equal(walled.tokens[0, 1], torch.zeros(2, 3))


@pytest.mark.parametrize("backend", BACKENDS)
def test_slots_beyond_num_valid_are_not_looked_at(backend: Any) -> None:
    tokens = tokens_of(2, 6, 2, 3)
    poisoned = tokens.clone()
    poisoned[0, 4:], poisoned[1] = torch.nan, torch.nan
    result = consolidate(poisoned, 2, num_valid=torch.tensor([4, 0]), backend=backend)
    assert torch.equal(result.tokens[0], consolidate(tokens[:1, :4], 2, backend=backend).tokens[0])
    assert result.num_kept.tolist() == [2, 0]
    assert result.num_nonfinite.tolist() == [0, 0]
    assert result.boundaries.tolist()[1] == [0, 0, 0]
    assert torch.equal(result.tokens[1], torch.zeros(2, 2, 3))


@pytest.mark.parametrize("backend", BACKENDS)
def test_too_many_barriers_drop_the_oldest(backend: Any) -> None:
    tokens = tokens_of(1, 6, 1, 4)
    result = consolidate(tokens, 2, barriers=torch.tensor([[True, False, True, True, False]]), backend=backend)
    assert result.boundaries.tolist() == [[3, 4, 6]]
    assert result.weights.tolist() == [[1.0, 2.0]]
    assert torch.equal(result.tokens[0, 0], tokens[0, 3])


@pytest.mark.parametrize("backend", BACKENDS)
def test_strided_tokens_give_what_contiguous_ones_give(backend: Any) -> None:
    tokens = tokens_of(4, 6, 10, 6).permute(0, 3, 1, 2)[::2, :, 1::2]
    assert not tokens.is_contiguous()
    assert torch.equal(
        consolidate(tokens, 2, backend=backend).tokens, consolidate(tokens.contiguous(), 2, backend=backend).tokens
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_halving_forgets_the_weights_and_weighted_does_not(backend: Any) -> None:
    tokens = torch.tensor([0.0, 4.0]).reshape(1, 2, 1, 1)
    weights = torch.tensor([[3.0, 1.0]])
    assert consolidate(tokens, 1, weights=weights, backend=backend).tokens.item() == 1.0
    halved = consolidate(tokens, 1, weights=weights, merge="halving", backend=backend)
    assert halved.tokens.item() == 2.0
    assert halved.weights.item() == 4.0


def test_the_result_shows_shapes_not_data() -> None:
    assert repr(consolidate(tokens_of(1, 3, 2, 2), 2)) == (
        "Consolidated(tokens=[1, 2, 2, 2] torch.float32, backend='cpu')"
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"keep": 0}, "keep in 1..4, received 0"),
        ({"keep": 5}, "keep in 1..4, received 5"),
        ({"tokens": torch.ones(4, 2, 3)}, r"received \[4, 2, 3\]"),
        ({"tokens": torch.ones(1, 0, 2, 3)}, "no size 0"),
        ({"tokens": torch.ones(2, 4, 2, 3, dtype=torch.float64)}, "float64"),
        ({"width": 4}, "width in 1..3, received 4"),
        ({"width": 0}, "width in 1..3, received 0"),
        ({"width": "2"}, "width in 1..3, received '2'"),
        ({"width": 2.0}, "width in 1..3, received 2.0"),
        ({"keep": True}, "keep in 1..4, received True"),
        ({"tokens": [[1.0]]}, "as a tensor .*, received list"),
        ({"tokens": torch.ones(2, 4, 2, 3).to_sparse()}, "received .* torch.sparse_coo"),
        ({"tokens": torch.ones(2, 4, 2, 3, device="meta")}, "a device that holds numbers"),
        ({"weights": [[1.0] * 4] * 2}, "weights as a tensor"),
        ({"weights": torch.full((2, 4), 3e38)}, "whose sum is finite in float32"),
        ({"num_valid": torch.ones(2, dtype=torch.complex64)}, "integer dtype, received torch.complex64"),
        ({"weights": torch.ones(2, 3)}, r"weights \[2, 4\]"),
        ({"weights": torch.zeros(2, 4)}, "positive"),
        ({"weights": torch.full((2, 4), torch.nan)}, "positive and finite"),
        (
            {"weights": torch.tensor([1.0, 1.0, -2.0, 1.0]).expand(2, 4)},
            "positive and finite in float32, received -2.0",
        ),
        ({"weights": torch.full((2, 4), 1e300, dtype=torch.float64)}, "received inf"),
        ({"weights": torch.full((2, 4), 1e-60, dtype=torch.float64)}, "received 0.0"),
        ({"weights": torch.ones(2, 4, dtype=torch.bool)}, "real numbers, received torch.bool"),
        ({"barriers": torch.zeros(2, 3, dtype=torch.bool, device="meta")}, "on cpu, received .* on meta"),
        ({"num_valid": torch.tensor([-1, 4])}, r"num_valid in 0..4, received -1..4"),
        ({"num_valid": torch.tensor([True, False])}, "integer dtype, received torch.bool"),
        ({"keep": 2.0}, r"keep in 1..4, received 2.0"),
        ({"weights": torch.ones(2, 4, device="meta")}, "on cpu, received .* on meta"),
        ({"num_valid": torch.tensor([1, 5])}, r"num_valid in 0..4, received 1..5"),
        ({"num_valid": torch.tensor([1.0, 2.0])}, "integer"),
        ({"num_valid": torch.tensor([1])}, r"num_valid \[2\]"),
        ({"barriers": torch.zeros(2, 4, dtype=torch.bool)}, r"barriers \[2, 3\]"),
        ({"barriers": torch.zeros(2, 3)}, "bool"),
        ({"similarity": "cosine"}, "'cosine'"),
        ({"merge": "mean"}, "'mean'"),
        ({"backend": "cuda"}, "'cuda'"),
    ],
)
def test_a_wrong_argument_fails(arguments: dict[str, Any], words: str) -> None:
    given_arguments = {"tokens": torch.ones(2, 4, 2, 3), "keep": 2, **arguments}
    tokens, keep = given_arguments.pop("tokens"), given_arguments.pop("keep")
    with pytest.raises(ValueError, match=words):
        consolidate(tokens, keep, **given_arguments)
