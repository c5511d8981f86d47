"""The ring shows the newest frames in order, without copies and without growing."""

import math
from typing import Any

import pytest
import torch

from memory import ShortTermMemory
from memory.slot import PICTURE_CAPACITY_BYTES

torch.set_num_threads(1)


def ring_of(num_cameras: int = 1, **sizes: Any) -> ShortTermMemory:
    return ShortTermMemory(num_cameras, **{"num_tokens": 1, "width": 3, **sizes})


def push(ring: ShortTermMemory, index: int, *, camera: int = 0, **arguments: Any) -> tuple[float, float] | None:
    """Frame `index` has its index as its tokens and starts at that second."""
    tokens = torch.full((ring.num_tokens, ring.width), float(index))
    return ring.push(camera, tokens, **{"start_seconds": index, "end_seconds": index + 0.5, **arguments})


def merge_due(ring: ShortTermMemory, now_seconds: float, **arguments: Any) -> list[tuple[int, int, int]]:
    runs = ring.due(now_seconds, **arguments)
    for run in runs:
        ring.mark_merged(run)
    return [tuple(run) for run in runs]


def test_an_empty_ring_has_nothing_and_says_so() -> None:
    ring = ring_of()
    assert ring.view(0).tokens.shape == (0, 1, 3)
    assert ring.num_frames(0) == 0
    assert ring.newest_seconds(0) is None
    assert ring.due(1e9, flush=True) == []
    assert ring.picture(0, 0) == b""


def test_the_view_is_contiguous_in_order_and_never_moves_over_thousands_of_pushes() -> None:
    ring = ring_of(2, num_tokens=2, width=5)
    nbytes, storage = ring.nbytes, ring.view(0).tokens.untyped_storage().data_ptr()
    for index in range(3000):
        push(ring, index, camera=1)
        view = ring.view(1)
        count = min(index + 1, 36)
        expected = list(range(index + 1 - count, index + 1))
        assert view.tokens.is_contiguous()
        assert view.tokens[:, 0, 0].tolist() == expected
        assert view.tokens[:, 1, 4].tolist() == expected
        assert view.starts.tolist() == expected
        assert view.slot_ids.tolist() == expected
        assert view.tokens.untyped_storage().data_ptr() == storage
        merge_due(ring, index)
    assert ring.nbytes == nbytes
    assert ring.num_overrun == [0, 0]
    assert ring.num_frames(0) == 0, "the other camera saw nothing"


def test_bytes_are_flat_over_a_hundred_thousand_pushes() -> None:
    ring = ring_of()
    tokens = torch.ones(1, 3)
    nbytes, storage = ring.nbytes, ring.view(0).tokens.untyped_storage()
    for index in range(100_000):
        assert ring.push(0, tokens, start_seconds=index, end_seconds=index, picture=b"jpeg") is None
        if index % 18 == 17:
            merge_due(ring, index)
    assert int(ring.view(0).slot_ids[-1]) == 99_999
    assert ring.nbytes == nbytes
    assert ring.view(0).tokens.untyped_storage().data_ptr() == storage.data_ptr()
    assert ring.view(0).tokens.untyped_storage().nbytes() == storage.nbytes()


def test_a_part_of_the_ring_is_a_view_too() -> None:
    ring = ring_of()
    for index in range(100):
        push(ring, index)
    part = ring.view(0, first_index=70, count=5)
    assert part.tokens[:, 0, 0].tolist() == [70, 71, 72, 73, 74]
    with pytest.raises(ValueError, match=r"within 64..100, received 63..64"):
        ring.view(0, first_index=63, count=1)


def test_an_overrun_drops_the_oldest_and_leaves_a_gap() -> None:
    ring = ring_of()
    assert [push(ring, index) for index in range(36)] == [None] * 36
    assert push(ring, 36) == (0.0, 1.0)
    assert push(ring, 37) == (1.0, 2.0)
    view = ring.view(0)
    assert ring.num_overrun == [2]
    assert view.slot_ids[0] == 2
    assert view.gap_before.tolist() == [True] + [False] * 35
    assert view.unmerged.all()


def test_merged_frames_stay_until_their_place_is_needed() -> None:
    ring = ring_of()
    for index in range(18):
        push(ring, index)
    assert merge_due(ring, 18) == [(0, 0, 18)]
    assert not ring.view(0).unmerged.any()
    assert ring.num_frames(0) == 18
    for index in range(18, 40):
        assert push(ring, index) is None
    assert ring.view(0).slot_ids[0] == 4
    assert ring.view(0).unmerged.sum() == 22
    assert ring.num_overrun == [0]


def test_a_run_is_due_when_it_is_long_or_old_or_followed_by_a_gap() -> None:
    ring = ring_of(4)
    for index in range(17):
        push(ring, index / 100, camera=0)
    push(ring, 0, camera=1)
    push(ring, 8, camera=2)
    push(ring, 9, camera=2, gap_before=True)
    push(ring, 9, camera=3, gap_before=True)
    assert [tuple(run) for run in ring.due(9.99)] == [(2, 0, 1)]
    push(ring, 0.5, camera=0)
    assert merge_due(ring, 9.99) == [(0, 0, 18), (2, 0, 1)]
    assert merge_due(ring, 9.99) == []
    assert merge_due(ring, 10.0) == [(1, 0, 1)]
    assert merge_due(ring, 10.0, max_age_seconds=1.0) == [(2, 1, 1), (3, 0, 1)]


def test_no_run_spans_a_gap_or_is_longer_than_the_window() -> None:
    ring = ring_of()
    for index in range(36):
        push(ring, index, gap_before=index in (5, 6, 30))
    runs = []
    while run := merge_due(ring, 0, flush=True):
        runs += run
    assert runs == [(0, 0, 5), (0, 5, 1), (0, 6, 18), (0, 24, 6), (0, 30, 6)]


def test_a_gap_right_after_a_full_window_does_not_matter() -> None:
    ring = ring_of()
    for index in range(19):
        push(ring, index / 100, gap_before=index == 18)
    assert merge_due(ring, 1.0) == [(0, 0, 18)]


def test_cameras_may_have_clocks_of_their_own() -> None:
    ring = ring_of(2)
    push(ring, 0, camera=0)
    push(ring, 1000, camera=1)
    assert [run.camera for run in ring.due([20.0, 1001.0])] == [0]
    with pytest.raises(ValueError, match="received 3"):
        ring.due([0.0, 0.0, 0.0])


def test_an_unchanged_frame_extends_the_newest_until_that_is_merged() -> None:
    ring = ring_of()
    assert not ring.extend_newest(0, end_seconds=1.0)
    push(ring, 1)
    assert ring.extend_newest(0, end_seconds=5.0)
    view = ring.view(0)
    assert (view.starts[0], view.ends[0], view.weights[0]) == (1, 5, 2)
    assert ring.newest_seconds(0) == 5.0
    merge_due(ring, 5.0, flush=True)
    assert not ring.extend_newest(0, end_seconds=6.0)
    with pytest.raises(ValueError, match="backwards"):
        push(ring, 2, end_seconds=4.0)


def test_several_unchanged_frames_extend_at_once() -> None:
    ring = ring_of()
    push(ring, 1)
    assert ring.extend_newest(0, end_seconds=9.0, num_frames=16)
    assert (ring.view(0).ends[0], ring.view(0).weights[0], ring.num_frames(0)) == (9, 17, 1)
    with pytest.raises(ValueError, match="'num_frames': 0"):
        ring.extend_newest(0, end_seconds=9.0, num_frames=0)
    with pytest.raises(ValueError, match="backwards"):
        ring.extend_newest(0, end_seconds=8.0)
    assert (ring.view(0).ends[0], ring.view(0).weights[0]) == (9, 17)


def test_the_newest_frame_is_repeated_with_tokens_and_picture_once_it_is_merged() -> None:
    ring = ring_of(num_tokens=2)
    push(ring, 1, picture=b"jpeg")
    merge_due(ring, 5.0, flush=True)
    assert ring.repeat_newest(0, start_seconds=6.0, end_seconds=9.0, num_frames=4) is None
    assert ring.extend_newest(0, end_seconds=10.0)
    view = ring.view(0)
    assert view.tokens[1].tolist() == view.tokens[0].tolist() == [[1.0] * 3] * 2
    assert (view.starts[1], view.ends[1], view.weights[1]) == (6, 10, 5)
    assert view.gap_before.tolist() == [False, False]
    assert view.unmerged.tolist() == [False, True]
    assert ring.picture(0, 1) == b"jpeg"


def test_a_repeated_frame_takes_the_place_of_the_oldest_like_any_other() -> None:
    ring = ring_of()
    for index in range(36):
        push(ring, index)
    assert ring.repeat_newest(0, start_seconds=36.0, end_seconds=37.0) == (0.0, 1.0)
    assert ring.view(0).tokens[-2:, 0, 0].tolist() == [35, 35]
    assert ring.num_overrun == [1]


def test_a_frame_that_never_was_cannot_be_repeated_and_fails() -> None:
    with pytest.raises(ValueError, match="no frame to repeat"):
        ring_of().repeat_newest(0, start_seconds=1.0, end_seconds=1.0)


def test_a_frame_keeps_its_picture_while_it_is_in_the_ring() -> None:
    ring = ring_of()
    for index in range(40):
        push(ring, index, picture=b"jpeg %d" % index)
    assert ring.picture(0, 3) == b""
    assert ring.picture(0, 4) == b"jpeg 4"
    assert ring.picture(0, 39) == b"jpeg 39"
    assert ring.picture(0, 40) == b""


def test_tokens_are_converted_and_carry_no_gradient() -> None:
    ring = ring_of(dtype=torch.bfloat16)
    ring.push(0, torch.ones(1, 3, requires_grad=True), start_seconds=0, end_seconds=0)
    assert ring.view(0).tokens.dtype is torch.bfloat16
    assert not ring.view(0).tokens.requires_grad


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"start_seconds": 4.0}, "goes backwards"),
        ({"end_seconds": 5.2}, "goes backwards"),
        ({"start_seconds": 6.0, "end_seconds": 5.9}, "after the start"),
        ({"start_seconds": math.nan}, "finite"),
        ({"end_seconds": math.inf}, "finite"),
        ({"picture": b"x" * (PICTURE_CAPACITY_BYTES + 1)}, "at most 65536"),
        ({"camera": 1}, r"camera in 0..0, received 1"),
    ],
)
def test_a_wrong_frame_fails_and_changes_nothing(arguments: dict[str, Any], words: str) -> None:
    ring = ring_of()
    push(ring, 5)
    with pytest.raises(ValueError, match=words):
        push(ring, 5, **arguments)
    assert ring.view(0).starts.tolist() == [5.0]
    assert push(ring, 5) is None, "the same time again is not backwards"


@pytest.mark.parametrize("tokens", [torch.ones(3), torch.ones(2, 3), torch.ones(1, 3, dtype=torch.int64)])
def test_tokens_of_another_shape_fail(tokens: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"expected floating tokens \[1, 3\]"):
        ring_of().push(0, tokens, start_seconds=0, end_seconds=0)


def test_a_run_that_is_not_the_oldest_fails() -> None:
    ring = ring_of()
    push(ring, 0)
    (run,) = ring.due(0, flush=True)
    ring.mark_merged(run)
    with pytest.raises(ValueError, match="from frame 1"):
        ring.mark_merged(run)


def test_a_ring_of_wrong_sizes_fails() -> None:
    with pytest.raises(ValueError, match="'num_tokens': 0"):
        ring_of(num_tokens=0)
    with pytest.raises(ValueError, match="headroom"):
        ring_of(headroom_frames=17)
