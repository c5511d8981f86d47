"""Frames go from the ring into long-term memory once, whole, and never over a gap."""

from typing import Any

import pytest
import torch

from memory import Appended, Consolidator, LongTermMemory, ShortTermMemory

torch.set_num_threads(1)


def memories(num_cameras: int = 1, **options: Any) -> tuple[ShortTermMemory, LongTermMemory, Consolidator]:
    ring = ShortTermMemory(num_cameras, num_tokens=1, width=2)
    long_term = LongTermMemory(num_cameras, num_tokens=1, width=2, **{"capacity": 40, "keep": 20, **options})
    return ring, long_term, Consolidator(ring, long_term)


def push(ring: ShortTermMemory, index: int, angle: float, *, camera: int = 0, **arguments: Any) -> None:
    tokens = torch.tensor([[torch.tensor(angle).cos(), torch.tensor(angle).sin()]])
    ring.push(camera, tokens, **{"start_seconds": index, "end_seconds": index + 0.5, **arguments})


def test_two_scenes_become_two_slots_with_their_spans_weights_and_middle_pictures() -> None:
    ring, long_term, consolidator = memories()
    for index in range(18):
        push(ring, index, 0.0 if index < 7 else 1.5, picture=b"frame %d" % index)
    assert consolidator.run(18.0) == [Appended(0, [0, 1])]
    view = long_term.view(0)
    assert view.starts.tolist() == [0, 7]
    assert view.ends.tolist() == [6.5, 17.5]
    assert view.weights.tolist() == [7, 11]
    assert view.last_frame_ids.tolist() == [6, 17]
    assert long_term.picture(0, 0) == b"frame 3"
    assert long_term.picture(0, 1) == b"frame 12"
    assert not ring.view(0).unmerged.any()
    assert ring.num_frames(0) == 18
    assert consolidator.run(1000.0) == []


def test_the_nearest_picture_is_taken_where_the_middle_frame_has_none() -> None:
    ring, long_term, consolidator = memories()
    for index in range(5):
        push(ring, index, 0.0, picture=b"frame 4" if index == 4 else b"")
    consolidator.run(0.0, flush=True)
    assert long_term.num_slots(0) == 2
    assert long_term.picture(0, 0) == b""
    assert long_term.picture(0, 1) == b"frame 4"


def test_cameras_that_are_due_are_consolidated_together_and_the_others_left_alone() -> None:
    ring, long_term, consolidator = memories(3)
    for index in range(18):
        push(ring, index, index / 9, camera=0)
    push(ring, 12, 0.0, camera=1)
    push(ring, 2, 0.0, camera=2)
    assert consolidator.run(18.0) == [Appended(0, [0, 1]), Appended(2, [0])]
    assert [long_term.num_slots(camera) for camera in range(3)] == [2, 0, 1]
    assert ring.num_unmerged(1) == 1


def test_one_call_takes_all_that_is_due() -> None:
    ring, long_term, consolidator = memories()
    for index in range(36):
        push(ring, index, index / 9)
    appended = consolidator.run(36.0)
    assert appended == [Appended(0, [0, 1]), Appended(0, [2, 3])]
    assert long_term.view(0).weights.sum() == 36


def test_no_slot_spans_a_gap() -> None:
    ring, long_term, consolidator = memories()
    for index in range(12):
        push(ring, index, 0.0, gap_before=index in (4, 5))
    consolidator.run(0.0, flush=True)
    view = long_term.view(0)
    starts = view.starts[view.gap_before].tolist()
    assert starts == [4.0, 5.0]
    assert view.weights.sum() == 12
    assert not any(start < gap <= end for gap in (4.0, 5.0) for start, end in zip(view.starts, view.ends, strict=True))


def test_extended_frames_weigh_what_they_stand_for() -> None:
    ring, long_term, consolidator = memories()
    push(ring, 0, 0.0)
    for second in range(1, 10):
        ring.extend_newest(0, end_seconds=second)
    push(ring, 10, 1.5)
    consolidator.run(0.0, flush=True)
    assert long_term.view(0).weights.tolist() == [10, 1]
    assert long_term.view(0).ends.tolist() == [9, 10.5]


def test_broken_frames_weigh_nothing_and_a_run_of_them_is_no_slot() -> None:
    ring, long_term, consolidator = memories()
    for index in range(4):
        push(ring, index, float("nan") if index < 3 else 0.0)
    assert consolidator.run(0.0, flush=True) == [Appended(0, [0])]
    assert long_term.view(0).weights.tolist() == [1]
    push(ring, 5, float("nan"))
    assert consolidator.run(0.0, flush=True) == []
    assert consolidator.num_nonfinite == [4]
    assert ring.num_unmerged(0) == 0


def test_memories_that_do_not_fit_each_other_fail() -> None:
    ring = ShortTermMemory(1, num_tokens=1, width=2)
    with pytest.raises(ValueError, match="alike"):
        Consolidator(ring, LongTermMemory(1, num_tokens=1, width=3))
    with pytest.raises(ValueError, match=r"keep in 1..18, received 19"):
        Consolidator(ring, LongTermMemory(1, num_tokens=1, width=2), keep=19)
    with pytest.raises(ValueError, match="keeps more than 18"):
        Consolidator(ring, LongTermMemory(1, num_tokens=1, width=2, capacity=40, keep=18))
