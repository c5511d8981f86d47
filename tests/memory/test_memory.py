"""All tiers together: a still scene is remembered as seen until now, with every picture counted, however long it is."""

from itertools import pairwise

import pytest
import torch

from memory import Evidence, Memory

torch.set_num_threads(1)
START = 1_000_000.0


def memory_of(*, max_slots: int = 64) -> Memory:
    return Memory(1, num_tokens=2, width=4, max_slots=max_slots)


def tokens(number: float) -> torch.Tensor:
    return torch.full((2, 4), float(number))


def night(memory: Memory, seconds: int, *, heartbeat_seconds: float = 10.0, fps: float = 2.0) -> tuple[int, float]:
    """A still scene: a frame at every heartbeat, else still ones; consolidation every second. Pictures and the last
    one's time."""
    num_pictures, last_beat = 0, -1e9
    for index in range(int(seconds * fps)):
        now = START + index / fps
        if now - last_beat >= heartbeat_seconds:
            last_beat = now
            memory.push(0, tokens(1.0 + index % 3 / 100), time_seconds=now, picture=b"jpeg")
        else:
            memory.extend(0, start_seconds=now, end_seconds=now)
        num_pictures += 1
        if now % 1 == 0:
            memory.consolidate([now])
    return num_pictures, now


def weights(evidence: Evidence) -> int:
    return sum(slot.weight for slot in evidence.slots)


@pytest.mark.parametrize("heartbeat_seconds", [10.0, 60.0, 1e9])
def test_a_still_night_is_observed_until_now_and_no_gap(heartbeat_seconds: float) -> None:
    memory = memory_of()
    nbytes = memory.nbytes
    num_pictures, last = night(memory, 3600, heartbeat_seconds=heartbeat_seconds)

    evidence = memory.recall(0, now_seconds=last + 0.2, max_slots=64)

    assert weights(evidence) == num_pictures
    assert evidence.slots[0].start_seconds == START
    assert evidence.newest_seconds == last
    assert evidence.frame_age_seconds == pytest.approx(0.2)
    assert evidence.gaps == ()
    steps = [later.start_seconds - earlier.end_seconds for earlier, later in pairwise(evidence.slots)]
    assert 0 < min(steps) <= max(steps) <= 0.5, "the spans lie end to end"
    assert all(slot.picture == b"jpeg" for slot in evidence.slots)
    assert memory.nbytes == nbytes
    assert memory.fill(0).num_overrun == 0


def test_a_still_scene_lengthens_one_slot_while_it_is_in_the_ring() -> None:
    memory = memory_of()
    memory.push(0, tokens(1), time_seconds=START)
    for index in range(1, 10):
        memory.extend(0, start_seconds=START + index, end_seconds=START + index)

    (slot,) = memory.recall(0, now_seconds=START + 9, max_slots=8).slots
    assert (slot.start_seconds, slot.end_seconds, slot.weight, slot.tier) == (START, START + 9, 10, "ring")


def test_what_has_moved_into_long_term_memory_goes_on_in_the_ring() -> None:
    memory = memory_of()
    memory.push(0, tokens(1), time_seconds=START, picture=b"jpeg")
    memory.consolidate([START], flush=True)
    memory.extend(0, start_seconds=START + 1, end_seconds=START + 3, num_frames=3)
    memory.extend(0, start_seconds=START + 4, end_seconds=START + 4)

    evidence = memory.recall(0, now_seconds=START + 4, max_slots=8)

    assert weights(evidence) == 5
    assert [(slot.start_seconds, slot.end_seconds) for slot in evidence.slots] == [
        (START, START),
        (START + 1, START + 4),
    ]
    assert evidence.tokens.unique().tolist() == [1.0]
    assert memory.fill(0).ring_slots == 2


def test_stillness_weighs_when_slots_are_merged() -> None:
    memory = memory_of()
    memory.push(0, tokens(1), time_seconds=START)
    memory.extend(0, start_seconds=START + 1, end_seconds=START + 9, num_frames=9)
    memory.push(0, tokens(2), time_seconds=START + 10)
    memory.push(0, -tokens(9), time_seconds=START + 11)

    evidence = memory.recall(0, now_seconds=START + 11, max_slots=2)

    spans = [(slot.start_seconds - START, slot.end_seconds - START, slot.weight) for slot in evidence.slots]
    assert spans == [(0, 10, 11), (11, 11, 1)]
    assert evidence.tokens[0].unique().tolist() == [pytest.approx((10 * 1 + 2) / 11)]


def test_after_a_gap_the_slot_before_it_is_not_lengthened() -> None:
    memory = memory_of()
    memory.push(0, tokens(1), time_seconds=START)
    memory.push(0, tokens(1), time_seconds=START + 100, gap_start_seconds=START)
    memory.extend(0, start_seconds=START + 101, end_seconds=START + 105, num_frames=5)

    evidence = memory.recall(0, now_seconds=START + 105, max_slots=8)

    assert [(slot.start_seconds - START, slot.end_seconds - START) for slot in evidence.slots] == [(0, 0), (100, 105)]
    assert [(gap.start_seconds - START, gap.end_seconds - START) for gap in evidence.gaps] == [(0, 100)]


def test_to_extend_before_the_first_frame_fails() -> None:
    with pytest.raises(ValueError, match="no frame to repeat"):
        memory_of().extend(0, start_seconds=START, end_seconds=START)
