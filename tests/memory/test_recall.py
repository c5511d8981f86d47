"""Evidence has every frame once, the newest whole, in no more slots than asked for."""

import math
from typing import Any

import pytest
import torch

from memory import Consolidator, Evidence, EvidenceBuffer, Gap, GapLog, LongTermMemory, ShortTermMemory, recall

torch.set_num_threads(1)


class Memory:
    """One of everything, small; frame `index` starts at second `index` and has tokens [index, 1]."""

    def __init__(self, num_cameras: int = 1, **options: Any) -> None:
        self.ring = ShortTermMemory(num_cameras, num_tokens=1, width=2)
        self.long_term = LongTermMemory(num_cameras, num_tokens=1, width=2, **{"capacity": 40, "keep": 20, **options})
        self.gaps = GapLog(num_cameras)
        self.consolidator = Consolidator(self.ring, self.long_term)
        self.buffer = EvidenceBuffer(64, num_tokens=1, width=2)
        self.index = 0

    def push(self, count: int = 1, *, camera: int = 0, **arguments: Any) -> None:
        for _ in range(count):
            tokens = torch.tensor([[float(self.index), 1.0]])
            self.ring.push(camera, tokens, start_seconds=self.index, end_seconds=self.index, **arguments)
            self.index += 1

    def recall(self, max_slots: int = 64, **arguments: Any) -> Evidence:
        self.buffer.tokens.fill_(torch.nan)
        given = {"now_seconds": float(self.index), "max_slots": max_slots, "out": self.buffer, **arguments}
        return recall(self.ring, self.long_term, self.gaps, given.pop("camera", 0), **given)


def frames_seen(evidence: Evidence) -> int:
    return sum(slot.weight for slot in evidence.slots)


def sum_of_tokens(evidence: Evidence) -> float:
    """Each frame's value as often as it is counted."""
    weights = torch.tensor([float(slot.weight) for slot in evidence.slots])
    return float((evidence.tokens[:, 0, 0].double() * weights).sum())


def test_an_empty_memory_gives_empty_evidence() -> None:
    memory = Memory()
    memory.gaps.add(0, -20.0, -10.0)
    evidence = memory.recall()
    assert evidence.tokens.shape == (0, 1, 2)
    assert evidence.slots == ()
    assert evidence.newest_seconds is None
    assert evidence.frame_age_seconds is None
    assert evidence.gaps == (Gap(-20.0, -10.0),)


@pytest.mark.parametrize("every", [1, 7, 25])
@pytest.mark.parametrize("max_slots", [3, 24, 64])
def test_every_frame_counts_exactly_once_at_any_moment(every: int, max_slots: int) -> None:
    memory = Memory(capacity=26, keep=19)
    for index in range(400):
        memory.push()
        if index % every == 0:
            memory.consolidator.run(float(index))
        if index % 3 == 0:
            evidence = memory.recall(max_slots)
            assert frames_seen(evidence) == index + 1
            assert sum_of_tokens(evidence) == pytest.approx(index * (index + 1) / 2, rel=1e-4)
            assert evidence.slots[0].start_seconds == 0.0
            assert evidence.slots[-1].start_seconds == index
            ends, starts = [s.end_seconds for s in evidence.slots], [s.start_seconds for s in evidence.slots]
            assert all(end < start for end, start in zip(ends[:-1], starts[1:], strict=True))
            assert len(evidence.slots) <= max_slots
    assert memory.ring.num_overrun == [0]


def test_slow_frames_that_are_merged_one_by_one_count_once_too() -> None:
    memory = Memory()
    for _ in range(300):
        memory.push()
        memory.consolidator.run(float(memory.index), flush=True)
        assert frames_seen(memory.recall(10)) == memory.index


def test_frames_of_the_same_time_count_once() -> None:
    memory = Memory()
    for count in range(1, 200):
        memory.ring.push(0, torch.ones(1, 2), start_seconds=5.0, end_seconds=5.0)
        memory.consolidator.run(6.0)
        assert frames_seen(memory.recall()) == count


def test_the_newest_frame_stays_whole_and_the_ring_gets_a_quarter() -> None:
    memory = Memory()
    for _ in range(400):
        memory.push()
        memory.consolidator.run(float(memory.index))
    evidence = memory.recall(12)
    assert [slot.tier for slot in evidence.slots] == ["long_term"] * 9 + ["ring"] * 3
    assert evidence.slots[-1].weight == 1
    assert evidence.tokens[-1, 0].tolist() == [399.0, 1.0]
    assert evidence.slots[-1].slot_id == 399
    assert [slot.tier for slot in memory.recall(2).slots] == ["ring", "ring"]
    (only,) = memory.recall(1).slots
    assert (only.weight, only.start_seconds) == (1, 399.0)


def test_each_tier_takes_what_the_other_leaves() -> None:
    memory = Memory()
    memory.push(30)
    assert len(memory.recall(24).slots) == 24
    assert frames_seen(memory.recall(24)) == 30
    memory = Memory()
    for _ in range(60):
        memory.push()
        memory.consolidator.run(float(memory.index))
    long_term_slots = [slot for slot in memory.recall(24).slots if slot.tier == "long_term"]
    assert 1 < len(long_term_slots) < 12
    assert len(memory.recall(24).slots) == 24


def test_notes_and_pictures_come_along() -> None:
    memory = Memory()
    for _ in range(100):
        memory.push(picture=b"frame %d" % memory.index)
        for _, slot_ids in memory.consolidator.run(float(memory.index)):
            for slot_id in slot_ids:
                memory.long_term.set_note(0, slot_id, f"note {slot_id}")
    for slot in memory.recall(64).slots:
        if slot.tier == "ring":
            assert (slot.note, slot.picture) == ("", b"frame %d" % slot.slot_id)
        else:
            assert slot.note == f"note {slot.slot_id}"
            assert slot.start_seconds <= int(slot.picture.split()[1]) <= slot.end_seconds
    merged = memory.recall(4).slots[0]
    assert merged.note == f"note {merged.slot_id}"


def test_evidence_does_not_change_when_memory_does() -> None:
    memory = Memory()
    memory.push(20)
    evidence = memory.recall()
    before, slots = evidence.tokens.clone(), evidence.slots
    memory.push(30)
    memory.consolidator.run(float(memory.index))
    assert torch.equal(evidence.tokens, before)
    assert evidence.slots == slots


def test_no_slot_of_evidence_spans_a_gap() -> None:
    memory = Memory()
    for _ in range(200):
        gap = memory.index % 29 == 28
        if gap:
            memory.gaps.add(0, memory.index - 0.9, memory.index - 0.1)
        memory.push(gap_before=gap)
        memory.consolidator.run(float(memory.index))
    for max_slots in (64, 30, 20):
        evidence = memory.recall(max_slots)
        assert frames_seen(evidence) == 200
        assert len(evidence.gaps) == 6
        for slot in evidence.slots:
            assert not any(slot.start_seconds < g.start_seconds < slot.end_seconds for g in evidence.gaps)
    few = memory.recall(6)
    assert frames_seen(few) < 200, "too many gaps for so few slots: the oldest are left out"
    assert all(gap.end_seconds >= few.slots[0].start_seconds for gap in few.gaps)
    assert len(few.gaps) < 6


def test_age_counts_from_the_newest_frame_seen() -> None:
    memory = Memory()
    memory.push(3)
    memory.ring.extend_newest(0, end_seconds=10.0)
    evidence = memory.recall(now_seconds=12.5)
    assert evidence.newest_seconds == 10.0
    assert evidence.frame_age_seconds == 2.5
    assert memory.recall(now_seconds=9.0).frame_age_seconds == 0.0


def test_what_a_restart_brought_back_is_found_before_the_first_frame_and_after() -> None:
    memory = Memory()
    memory.long_term.append(
        0, torch.ones(2, 1, 2), starts=[-9, -8], ends=[-8, -7], weights=[5, 6], gap_before=[False] * 2
    )
    evidence = memory.recall()
    assert [slot.weight for slot in evidence.slots] == [5, 6]
    assert evidence.newest_seconds == -7
    memory.push(3)
    assert [slot.weight for slot in memory.recall().slots] == [5, 6, 1, 1, 1]


def test_cameras_do_not_see_each_other() -> None:
    memory = Memory(2)
    memory.push(5, camera=1)
    assert memory.recall(camera=0).slots == ()
    assert frames_seen(memory.recall(camera=1)) == 5


def test_evidence_shows_shapes_not_data() -> None:
    memory = Memory()
    memory.push(3, picture=b"x" * 1000)
    assert repr(memory.recall()) == (
        "Evidence(camera=0, now_seconds=3.0, tokens=[3, 1, 2] torch.float32, gaps=0, frame_age_seconds=1.0)"
    )
    assert "x" * 10 not in repr(memory.recall().slots)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"max_slots": 0}, r"max_slots in 1..64, received 0"),
        ({"max_slots": 65}, r"max_slots in 1..64, received 65"),
        ({"now_seconds": math.nan}, "finite"),
        ({"camera": 1}, r"camera in 0..0, received 1"),
        ({"camera": -1}, r"camera in 0..0, received -1"),
        ({"out": EvidenceBuffer(64, num_tokens=2, width=2)}, r"expected tokens \[1, 2\]"),
    ],
)
def test_a_wrong_argument_fails(arguments: dict[str, Any], words: str) -> None:
    memory = Memory()
    memory.push()
    with pytest.raises(ValueError, match=words):
        memory.recall(**arguments)
    with pytest.raises(ValueError, match="at least 1"):
        EvidenceBuffer(0, num_tokens=1, width=1)


def test_bytes_are_flat_over_twenty_thousand_frames() -> None:
    memory = Memory(num_cameras=1)
    tokens = torch.randn(64, 1, 2, generator=torch.Generator().manual_seed(0))
    parts = (memory.ring, memory.long_term, memory.consolidator, memory.buffer)
    nbytes = [part.nbytes for part in parts]
    addresses = [
        memory.ring.view(0).tokens.untyped_storage().data_ptr(),
        memory.long_term.view(0).tokens.untyped_storage().data_ptr(),
    ]
    for index in range(20_000):
        memory.ring.push(0, tokens[index % 64], start_seconds=index, end_seconds=index)
        if index % 18 == 17:
            memory.consolidator.run(float(index))
    assert [part.nbytes for part in parts] == nbytes
    assert addresses == [
        memory.ring.view(0).tokens.untyped_storage().data_ptr(),
        memory.long_term.view(0).tokens.untyped_storage().data_ptr(),
    ]
    assert frames_seen(memory.recall(24, now_seconds=20_000.0)) == 20_000
    assert memory.ring.num_overrun == [0]
