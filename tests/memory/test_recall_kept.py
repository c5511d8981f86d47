"""What was kept, chosen for a question and merged to fit it."""

from itertools import pairwise

import pytest
import torch

from memory import Archive, Chosen, Gap, KeptMoment, archive_reader, recall_kept
from memory.archive_reader import MOST_GAPS
from tests.memory.moments import ENCODER, START, moment

FAR = 1e12


def kept(number: int, *, seconds: float = 4.0, note: str = "", scene: int | None = None) -> KeptMoment:
    each = moment(number, seconds=seconds, scene=scene)
    return KeptMoment(number + 1, each.start_seconds, each.end_seconds, each.weight, each.gap_before, note, each.tokens)


def chosen(count: int, **others) -> Chosen:
    return Chosen(tuple(kept(number) for number in range(count)), **others)


def test_few_moments_are_each_a_slot():
    all_of_it = chosen(5)
    now = all_of_it.moments[-1].end_seconds + 30
    evidence = recall_kept(all_of_it, now_seconds=now, max_slots=5)
    assert [slot.slot_id for slot in evidence.slots] == [each.moment_id for each in all_of_it.moments]
    assert {slot.tier for slot in evidence.slots} == {"archive"}
    assert [slot.start_seconds for slot in evidence.slots] == [each.start_seconds for each in all_of_it.moments]
    for found, each in zip(evidence.tokens, all_of_it.moments, strict=True):
        assert torch.equal(found, torch.from_numpy(each.tokens.restored()))
    assert evidence.frame_age_seconds == pytest.approx(30)


@pytest.mark.parametrize("max_slots", [1, 2, 3, 7, 40])
def test_many_are_merged_to_fit_and_the_newest_stays_whole(max_slots):
    evidence = recall_kept(chosen(300), now_seconds=START + 1350, max_slots=max_slots)
    assert len(evidence.slots) == max_slots == len(evidence.tokens)
    assert all(later.start_seconds >= earlier.end_seconds for earlier, later in pairwise(evidence.slots))
    assert torch.equal(evidence.tokens[-1], torch.from_numpy(kept(299).tokens.restored()))
    if max_slots > 2:
        assert sum(slot.weight for slot in evidence.slots) == 300 * 9
        assert evidence.slots[0].start_seconds == START


def test_what_a_note_matched_stays_whole_up_to_a_quarter_of_the_places():
    ids = (40, 41, 120, 150, 7)
    evidence = recall_kept(chosen(300, matched=ids), now_seconds=START + 1350, max_slots=16)
    by_id = {slot.slot_id: (slot, tokens) for slot, tokens in zip(evidence.slots, evidence.tokens, strict=True)}
    for moment_id in ids[:4]:
        slot, tokens = by_id[moment_id]
        assert slot.weight == 9
        assert torch.equal(tokens, torch.from_numpy(kept(moment_id - 1).tokens.restored()))
    assert 7 not in by_id or by_id[7][0].weight > 9
    assert len(evidence.slots) == 16


def test_nothing_is_merged_over_a_gap_and_older_gaps_are_not_told():
    many = [kept(number, scene=1) for number in (*range(50), *range(60, 110))]
    lost = Gap(many[49].end_seconds, many[50].start_seconds)
    long_ago = Gap(START - 500, START - 400)
    evidence = recall_kept(Chosen(tuple(many), gaps=(long_ago, lost)), now_seconds=FAR, max_slots=12)
    assert evidence.gaps == (lost,)
    assert any(slot.end_seconds == lost.start_seconds for slot in evidence.slots)
    assert any(slot.start_seconds == lost.end_seconds for slot in evidence.slots)


def test_a_clock_that_was_set_back_is_told_in_order():
    """Two moments of the same time: what is said to come first ends where the other begins."""
    moments = (kept(0, seconds=1800.0), kept(100), kept(101))
    evidence = recall_kept(Chosen(moments), now_seconds=moments[-1].end_seconds, max_slots=8)
    assert [slot.start_seconds for slot in evidence.slots] == [each.start_seconds for each in moments]
    assert all(later.start_seconds >= earlier.end_seconds for earlier, later in pairwise(evidence.slots))
    assert sum(slot.weight for slot in evidence.slots) == 27


def test_a_moment_that_goes_on_ends_now():
    evidence = recall_kept(chosen(3), now_seconds=START + 10, max_slots=8)
    assert evidence.slots[-1].end_seconds == START + 10
    assert evidence.frame_age_seconds == 0.0


def test_tokens_are_as_the_model_wants_them():
    evidence = recall_kept(chosen(30), now_seconds=FAR, max_slots=8, similarity_width=4, dtype=torch.float16)
    assert evidence.tokens.dtype == torch.float16
    by_all = recall_kept(chosen(30), now_seconds=FAR, max_slots=8)
    assert [slot.weight for slot in by_all.slots] != [slot.weight for slot in evidence.slots]


@pytest.mark.parametrize(
    ("moments", "max_slots", "message"),
    [
        ((), 4, "expected moments with tokens, 0 of 0 have them"),
        ((KeptMoment(1, START, START, 1, False, "", None),), 4, "0 of 1 have them"),
        ((kept(0),), 0, "expected a positive max_slots, received 0"),
    ],
)
def test_what_cannot_be_evidence_fails(moments, max_slots, message):
    with pytest.raises(ValueError, match=message):
        recall_kept(Chosen(moments), now_seconds=FAR, max_slots=max_slots)


@pytest.fixture
def archive(tmp_path):
    """1,000 moments, one in ten with a note that tells a bicycle, a dog or the gate; a gap before the 300th."""
    with Archive(tmp_path, encoder=ENCODER) as archive:
        moments = [moment(number, gap_before=number == 300) for number in range(1000)]
        ids = archive.add("yard", moments, now_seconds=START)
        for number in range(0, 1000, 10):
            told = "A red bicycle" if number in (50, 700) else "A dog" if number == 990 else "Nobody"
            archive.set_note(ids[number], f"{told}; gate closed.")
        archive.add("street", [moment(5)], now_seconds=START)
        archive.set_note(archive.add("street", [moment(6)], now_seconds=START)[0], "A bicycle.")
        yield archive


def test_the_newest_are_chosen_where_nothing_says_from_when(archive):
    found = archive.choose("yard", "Is anyone there?", until_seconds=FAR, most=100)
    assert [each.moment_id for each in found.moments] == list(range(901, 1001))
    assert not found.matched
    assert not found.gaps
    then = archive.choose("yard", "Is anyone there?", until_seconds=moment(320).start_seconds, most=100)
    assert [each.moment_id for each in then.moments] == list(range(222, 322))
    assert then.gaps == (Gap(moment(299).end_seconds, moment(300).start_seconds),)


def test_of_a_span_all_of_it_is_covered(archive):
    since, until = moment(100).start_seconds, moment(899).end_seconds
    found = archive.choose("yard", "Is anyone there?", since_seconds=since, until_seconds=until, most=80)
    ids = [each.moment_id for each in found.moments]
    assert (len(ids), ids[0], ids[-1]) == (80, 101, 900)
    assert {later - earlier for earlier, later in pairwise(ids)} <= {10, 11}
    assert len(found.gaps) == 1
    few = archive.choose("yard", "?", since_seconds=since, until_seconds=moment(103).end_seconds, most=80)
    assert [each.moment_id for each in few.moments] == [101, 102, 103, 104]


def test_what_a_note_tells_is_found_however_long_ago_it_was(archive):
    found = archive.choose("yard", "When was the bicycle there?", until_seconds=FAR, most=40)
    assert sorted(found.matched) == [51, 701]
    assert [each.moment_id for each in found.moments] == [51, 701, *range(963, 1001)]
    assert found.moments[0].note == "A red bicycle; gate closed."
    since = archive.choose("yard", "bicycles?", until_seconds=FAR, since_seconds=moment(600).start_seconds, most=40)
    assert since.matched == (701,)
    dog = archive.choose("yard", "Did a dog or a red bicycle come?", until_seconds=FAR, most=40)
    assert sorted(dog.matched) == [51, 701, 991]


def test_a_word_that_most_notes_tell_chooses_nothing(archive):
    assert not archive.choose("yard", "Is the gate closed?", until_seconds=FAR, most=40).matched


def test_of_many_notes_with_a_word_the_newest_are_ranked(archive, monkeypatch):
    archive.set_note(900, "A bicycle; gate open.")
    monkeypatch.setattr(archive_reader, "_MOST_RANKED", 2)
    assert sorted(archive.choose("yard", "bicycles?", until_seconds=FAR, most=40).matched) == [701, 900]
    then = moment(800).start_seconds
    assert sorted(archive.choose("yard", "bicycles?", until_seconds=then, most=40).matched) == [51, 701]


def test_a_word_in_every_other_note_is_left_out_before_any_is_ranked(archive, monkeypatch):
    monkeypatch.setattr(archive_reader, "_MOST_RANKED", 50)
    monkeypatch.setattr(archive_reader, "_TELLS_NOTHING", 1.0)  # rank alone would take all
    for moment_id in range(900, 1000, 2):
        archive.set_note(moment_id, "A lamp.")
    assert not archive.choose("yard", "Is the lamp on?", until_seconds=FAR, most=40).matched


def test_no_more_than_a_quarter_is_chosen_for_its_words(archive):
    for moment_id in range(1, 401):
        archive.set_note(moment_id, "A bicycle; gate closed.")
    found = archive.choose("yard", "bicycle?", until_seconds=FAR, most=40)
    assert len(found.matched) <= 10
    assert len(found.moments) == 40


def test_of_a_camera_that_was_lost_often_the_longest_gaps_are_told_in_order(tmp_path):
    """Every other moment comes after a gap, the later the longer."""
    with Archive(tmp_path, encoder=ENCODER) as archive:
        lost = [moment(number * number, gap_before=number % 2 == 0) for number in range(1, 101)]
        archive.add("door", lost, now_seconds=START)
        found = archive.choose("door", "?", since_seconds=START, until_seconds=FAR, most=60)
    assert len(found.gaps) == MOST_GAPS
    assert list(found.gaps) == sorted(found.gaps)
    assert found.gaps[-1] == Gap(lost[98].end_seconds, lost[99].start_seconds)
    assert found.gaps[0] == Gap(lost[68].end_seconds, lost[69].start_seconds)


def test_of_another_camera_nothing_is_chosen(archive):
    assert len(archive.choose("street", "bicycle?", until_seconds=FAR, most=40).moments) == 2
    assert archive.choose("nobody", "bicycle?", until_seconds=FAR, most=40) == Chosen(())


def test_a_note_of_other_tokens_is_of_the_moment_it_is_named_by():
    told = Chosen(tuple(kept(number, note=f"note {number}") for number in range(40)))
    evidence = recall_kept(told, now_seconds=FAR, max_slots=6)
    assert all(slot.note == f"note {slot.slot_id - 1}" for slot in evidence.slots)
