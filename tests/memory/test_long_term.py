"""Long-term memory stays within its capacity; spans, weights, pictures and notes ride along when it merges."""

from typing import Any

import pytest
import torch

from memory import LongTermMemory

torch.set_num_threads(1)


def memory_of(capacity: int = 8, keep: int = 4, **options: Any) -> LongTermMemory:
    return LongTermMemory(1, num_tokens=2, width=3, capacity=capacity, keep=keep, **options)


def append(memory: LongTermMemory, values: list[float], *, start: float, **columns: Any) -> list[int]:
    tokens = torch.tensor(values)[:, None, None].expand(-1, 2, 3)
    count = len(values)
    defaults = {
        "starts": [start + k for k in range(count)],
        "ends": [start + k + 0.5 for k in range(count)],
        "weights": [1] * count,
        "gap_before": [False] * count,
    }
    return memory.append(0, tokens, **{**defaults, **columns})


def test_slots_come_back_as_they_went_in() -> None:
    memory = memory_of()
    assert append(memory, [1.0, 2.0], start=10, pictures=[b"one", b""], notes=["first", ""]) == [0, 1]
    assert append(memory, [3.0], start=20, gap_before=[True], weights=[7], last_frame_ids=[40]) == [2]
    view = memory.view(0)
    assert view.tokens[:, 1, 2].tolist() == [1.0, 2.0, 3.0]
    assert view.starts.tolist() == [10, 11, 20]
    assert view.ends.tolist() == [10.5, 11.5, 20.5]
    assert view.weights.tolist() == [1, 1, 7]
    assert view.gap_before.tolist() == [False, False, True]
    assert view.last_frame_ids.tolist() == [-1, -1, 40]
    assert memory.picture(0, 0) == b"one"
    assert memory.note(0, 0) == "first"


def test_a_full_memory_merges_what_is_alike_and_keeps_what_stands_out() -> None:
    memory = LongTermMemory(1, num_tokens=1, width=2, capacity=6, keep=3)
    alike, other = [1.0, 0.0], [0.0, 1.0]
    tokens = torch.tensor([alike, alike, alike, other, alike, alike])[:, None]
    memory.append(
        0,
        tokens[:3],
        starts=[0, 1, 2],
        ends=[1, 2, 3],
        weights=[1, 5, 5],
        gap_before=[True, False, False],
        pictures=[b"a", b"b", b"c"],
        last_frame_ids=[0, 5, 10],
    )
    memory.append(
        0,
        tokens[3:],
        starts=[3, 4, 5],
        ends=[4, 5, 6],
        weights=[2, 1, 1],
        gap_before=[False] * 3,
        last_frame_ids=[12, 13, 14],
    )
    assert memory.set_note(0, 1, "the heaviest")
    assert memory.set_note(0, 4, "the earliest of the heaviest")
    assert memory.append(0, tokens[:1], starts=[6], ends=[7], weights=[1], gap_before=[False]) == [6]
    view = memory.view(0)
    assert view.tokens[:, 0].tolist() == [alike, other, alike, alike]
    assert view.starts.tolist() == [0, 3, 4, 6]
    assert view.ends.tolist() == [3, 4, 6, 7]
    assert view.weights.tolist() == [11, 2, 2, 1]
    assert view.slot_ids.tolist() == [1, 3, 4, 6]
    assert view.gap_before.tolist() == [True, False, False, False]
    assert view.last_frame_ids.tolist() == [10, 12, 14, -1]
    assert [memory.note(0, k) for k in (1, 4)] == ["the heaviest", "the earliest of the heaviest"]
    assert memory.picture(0, 1) == b"b"
    assert not memory.set_note(0, 2, "merged away")
    assert memory.note(0, 2) == ""
    assert memory.num_merged == [3]
    assert memory.num_dropped == [0]


def test_nothing_is_merged_over_a_gap_and_what_must_go_is_counted() -> None:
    memory = memory_of(capacity=8, keep=3)
    for index in range(8):
        append(memory, [float(index)], start=index, gap_before=[index % 2 == 0])
    append(memory, [8.0], start=8)
    view = memory.view(0)
    assert view.starts.tolist() == [2, 4, 6, 8]
    assert view.weights.tolist() == [2, 2, 2, 1]
    assert memory.num_dropped == [2]
    assert memory.num_merged == [3]


def test_slots_the_ring_still_shows_are_spared() -> None:
    memory = memory_of(capacity=8, keep=4)
    for index in range(8):
        append(memory, [float(index)], start=index, last_frame_ids=[index * 10])
    append(memory, [8.0], start=8, last_frame_ids=[80], protect_from_frame_id=60)
    view = memory.view(0)
    assert view.last_frame_ids[-3:].tolist() == [60, 70, 80]
    assert view.weights[-3:].tolist() == [1, 1, 1]
    assert len(view.starts) == 5
    assert view.weights.sum() == 9
    assert view.tokens[-3:, 0, 0].tolist() == [6.0, 7.0, 8.0]


def test_when_all_are_to_be_spared_the_oldest_are_merged_all_the_same() -> None:
    memory = memory_of(capacity=8, keep=4)
    for index in range(30):
        append(memory, [float(index)], start=index, last_frame_ids=[index], protect_from_frame_id=0)
    assert memory.view(0).weights.sum() == 30
    assert memory.num_slots(0) <= 8


def test_the_first_channels_decide_where_the_similarity_width_says_so() -> None:
    memory = LongTermMemory(1, num_tokens=1, width=2, capacity=3, keep=2, similarity_width=1)
    tokens = torch.tensor([[1.0, 9.0], [1.0, -9.0], [-1.0, -9.0]])[:, None]
    memory.append(0, tokens[:1], starts=[0], ends=[0], weights=[1], gap_before=[False])
    memory.append(0, tokens[1:2], starts=[1], ends=[1], weights=[1], gap_before=[False])
    memory.append(0, tokens[2:], starts=[2], ends=[2], weights=[1], gap_before=[False])
    memory.append(0, tokens[2:], starts=[3], ends=[3], weights=[1], gap_before=[False])
    assert memory.view(0).weights.tolist() == [2, 1, 1]


def test_bytes_stay_and_no_frame_is_lost_over_many_appends() -> None:
    memory = memory_of(capacity=16, keep=8)
    nbytes, address = memory.nbytes, memory.view(0).tokens.untyped_storage().data_ptr()
    generator = torch.Generator().manual_seed(0)
    for index in range(1000):
        values = torch.randn(2, generator=generator).tolist()
        append(memory, values, start=index * 2, weights=[index % 3 + 1, 1])
        view = memory.view(0)
        assert view.weights.sum() == sum(k % 3 + 2 for k in range(index + 1))
        assert view.starts[0] == 0
        assert (view.starts[1:] >= view.ends[:-1]).all()
        assert (view.slot_ids[1:] > view.slot_ids[:-1]).all()
    assert memory.nbytes == nbytes
    assert memory.view(0).tokens.untyped_storage().data_ptr() == address
    assert memory.num_appended[0] == memory.num_slots(0) + memory.num_merged[0]


@pytest.mark.parametrize(
    ("values", "columns", "words"),
    [
        ([1.0], {"ends": [1.0, 2.0]}, r"expected 1 ends.*received \[2, 1"),
        ([1.0] * 5, {}, "at most 4 slots at a time, received 5"),
        ([1.0], {"pictures": [b"x" * 70_000]}, "at most 65536"),
        ([1.0, 2.0], {"weights": [1, 0]}, "at least 1 frame, received 0"),
        ([1.0, 2.0], {"starts": [0.0]}, r"expected floating tokens \[1, 2, 3\]"),
    ],
)
def test_a_wrong_append_fails_and_changes_nothing(values: list[float], columns: dict[str, Any], words: str) -> None:
    memory = memory_of()
    with pytest.raises(ValueError, match=words):
        append(memory, values, start=0, **columns)
    assert memory.num_slots(0) == 0
    with pytest.raises(ValueError, match="camera"):
        memory.view(1)


@pytest.mark.parametrize("keep", [0, 8, 9])
def test_a_keep_that_is_not_below_the_capacity_fails(keep: int) -> None:
    with pytest.raises(ValueError, match=r"keep in 1..7"):
        memory_of(capacity=8, keep=keep)


@pytest.mark.parametrize("similarity_width", [0, 4])
def test_a_similarity_width_that_is_not_there_fails(similarity_width: int) -> None:
    with pytest.raises(ValueError, match=r"similarity_width in 1..3"):
        memory_of(similarity_width=similarity_width)
