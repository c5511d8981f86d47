"""What a full long-term memory lets go of under each policy; spans, weights, gaps and counters stay right."""

from typing import Any, get_args

import pytest
import torch

from memory import Consolidator, LongTermMemory, Memory, PolicyName, ShortTermMemory, consolidate, policy_of

torch.set_num_threads(1)
POLICIES: tuple[Any, ...] = get_args(PolicyName)


def filled(policy: Any, *, count: int, capacity: int = 8, keep: int = 4, **columns: Any) -> LongTermMemory:
    """`count` slots, one at a time; slot t began at second t and holds t and 1."""
    memory = LongTermMemory(1, num_tokens=1, width=2, capacity=capacity, keep=keep, policy=policy)
    for t in range(count):
        row = {"starts": [t], "ends": [t + 0.5], "weights": [t + 1], "gap_before": [False]}
        row |= {name: [values[t]] for name, values in columns.items()}
        memory.append(0, torch.tensor([[[float(t), 1.0]]]), **row)  # type: ignore[arg-type]
    return memory


@pytest.mark.parametrize("policy", POLICIES)
def test_nothing_happens_before_memory_is_full_and_then_a_whole_batch(policy: Any) -> None:
    assert filled(policy, count=8).view(0).starts.tolist() == list(range(8))
    memory = filled(policy, count=9)
    assert memory.policy == policy
    assert memory.num_slots(0) == 5
    assert memory.view(0).starts[-1] == 8
    assert memory.num_merged[0] + memory.num_dropped[0] == 4


@pytest.mark.parametrize("policy", POLICIES)
def test_slots_stay_in_order_and_all_are_accounted_for_over_a_long_time(policy: Any) -> None:
    gaps = [t % 7 == 3 for t in range(300)]
    memory = filled(policy, count=300, capacity=16, keep=8, gap_before=gaps)
    view = memory.view(0)
    assert (view.starts[1:] >= view.ends[:-1]).all()
    assert (view.slot_ids[1:] > view.slot_ids[:-1]).all()
    assert memory.num_appended[0] == memory.num_slots(0) + memory.num_merged[0] + memory.num_dropped[0]
    if policy != "similarity":
        assert memory.num_merged == [0]
        assert view.tokens[:, 0, 0].tolist() == view.starts.tolist(), "what stays, stays as it was"
    for k in range(len(view.starts) - 1):
        between = any(gaps[int(view.starts[k]) + 1 : int(view.starts[k + 1]) + 1])
        inside = any(gaps[int(view.starts[k]) + 1 : int(view.ends[k]) + 1])
        assert not inside, "merged over a gap"
        assert bool(view.gap_before[k + 1]) == between


@pytest.mark.parametrize("policy", ["fifo", "moviechat"])
def test_the_oldest_go_first(policy: Any) -> None:
    memory = filled(policy, count=9)
    assert memory.view(0).starts.tolist() == [4, 5, 6, 7, 8]
    assert memory.view(0).weights.tolist() == [5, 6, 7, 8, 9]
    assert memory.num_dropped == [4]


def test_uniform_keeps_slots_from_the_whole_time() -> None:
    memory = filled("uniform", count=9)
    assert memory.view(0).starts.tolist() == [0, 2, 5, 7, 8]
    times = [0, 1, 2, 3, 100, 101, 102, 103, 104]
    memory = filled("uniform", count=9, starts=times, ends=times)
    assert memory.view(0).starts.tolist() == [0, 3, 100, 103, 104]
    assert memory.num_dropped == [4]


def test_uniform_stays_even_however_long_it_runs() -> None:
    starts = filled("uniform", count=3000, capacity=32, keep=16).view(0).starts
    kept = starts[starts <= 2500]
    assert starts[0] == 0
    assert len(kept) >= 8
    assert (kept[1:] - kept[:-1]).max() < 3000 / 4


def test_a_dropped_slot_leaves_its_gap_behind() -> None:
    gaps = [t == 1 for t in range(9)]
    view = filled("uniform", count=9, gap_before=gaps).view(0)
    assert view.starts.tolist() == [0, 2, 5, 7, 8]
    assert view.gap_before.tolist() == [False, True, False, False, False]


def test_slots_the_ring_still_shows_are_spared_by_every_policy() -> None:
    for policy in POLICIES:
        memory = LongTermMemory(1, num_tokens=1, width=1, capacity=8, keep=4, policy=policy)
        for t in range(9):
            memory.append(
                0,
                torch.full((1, 1, 1), float(t + 1)),
                starts=[t],
                ends=[t],
                weights=[1],
                gap_before=[False],
                last_frame_ids=[t],
                protect_from_frame_id=6,
            )
        assert memory.view(0).starts[-3:].tolist() == [6, 7, 8]


def test_moviechat_consolidates_the_ring_as_the_published_code_does() -> None:
    ring = ShortTermMemory(1, num_tokens=2, width=3)
    long_term = LongTermMemory(1, num_tokens=2, width=3, capacity=40, keep=20, policy="moviechat")
    frames = torch.randn((18, 2, 3), generator=torch.Generator().manual_seed(0)).cumsum(0)
    for t, frame in enumerate(frames):
        ring.push(0, frame, start_seconds=t, end_seconds=t)
    Consolidator(ring, long_term).run(18.0)
    published = consolidate(frames[None], 2, similarity="mean_dot", merge="halving")
    assert torch.equal(long_term.view(0).tokens, published.tokens[0])


def test_memory_takes_a_policy_and_stays_within_its_bytes() -> None:
    for policy in POLICIES:
        memory = Memory(1, num_tokens=1, width=2, max_slots=8, policy=policy)
        nbytes = memory.nbytes
        for t in range(400):
            memory.push(0, torch.tensor([[float(t), 1.0]]), time_seconds=float(t))
            memory.consolidate([float(t)])
        assert memory.nbytes == nbytes
        assert len(memory.recall(0, now_seconds=400.0, max_slots=8).slots) == 8


def test_similarity_and_merge_can_be_told() -> None:
    policy = policy_of("fifo", similarity="mean_dot", merge="halving")
    assert (policy.name, policy.similarity, policy.merge) == ("fifo", "mean_dot", "halving")


def test_an_unknown_policy_fails() -> None:
    with pytest.raises(ValueError, match=r"'similarity', 'moviechat', 'fifo', 'uniform'.*received 'lifo'"):
        LongTermMemory(1, num_tokens=1, width=1, policy="lifo")  # type: ignore[arg-type]


@pytest.mark.parametrize("what", ["similarity", "merge"])
def test_an_unknown_similarity_or_merge_fails_before_memory_is_full(what: str) -> None:
    with pytest.raises(ValueError, match=f"expected {what} to be one of .*received 'cos'"):
        LongTermMemory(1, num_tokens=1, width=1, **{what: "cos"})
