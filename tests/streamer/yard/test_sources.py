"""Each word of an answer knows the slot it comes from."""

import re
from datetime import datetime

import numpy as np
import pytest
import torch

from memory import Evidence, EvidenceSlot
from streamer.yard.histories import draw_history
from streamer.yard.past import YardQuestion
from streamer.yard.remembering import write
from streamer.yard.sources import NOTHING_MORE, sources

FOUR = datetime(2026, 5, 4, 16, 0, 0).timestamp()
STARTS = [FOUR, FOUR + 60, FOUR + 125, FOUR + 190]


def _evidence():
    slots = tuple(EvidenceSlot("long_term", start, start + 40, 1, "", number) for number, start in enumerate(STARTS))
    return Evidence(0, STARTS[-1] + 50, torch.zeros(4, 1, 2), slots, (), STARTS[-1] + 40, 10.0)


def _found(answer, klass, told_seconds):
    """[(word before which it is known, slot)]"""
    question = YardQuestion("?", klass, answer, 0.0, told_seconds=told_seconds)
    words = list(re.finditer(r" ?[A-Za-z]+| ?\d\d|[:.,]", answer))
    found = list(sources(question, [word.start() for word in words], _evidence()))
    return [(words[each.place + 1][0].strip(), each.slot) for each in found], found


@pytest.mark.parametrize(
    ("answer", "klass", "told", "slots"),
    [
        ("Yes, at 16:01.", "past", (1,), {"Yes": 1, "16": 1, "01": 1}),
        ("At 16:01, a 2nd at 16:02: twice.", "past", (1, 2), {"At": 1, "01": 1, "nd": 2, "02": 2}),
        (
            "The car came at 16:03, the dog at 16:01: the dog was first.",
            "past",
            (3, 1),
            {"The": 3, "car": 3, "came": 3, "03": 3, ",": 1, "the": 1, "dog": 1, "01": 1},
        ),
        (
            "A car at 16:01 and smoke at 16:03.",
            "summary",
            (1, 3),
            {"A": 1, "car": 1, "01": 1, "and": 3, "smoke": 3, "03": 3},
        ),
        ("A car and a dog.", "recent", (2, 3), {"A": 2, "car": 2, "and": 3, "a": 3, "dog": 3}),
        ("Yes, a car and a dog.", "recent", (2, 3), {"Yes": 2, "a": 3, "car": 2, "and": 3, "dog": 3}),
    ],
)
def test_words_come_from_the_slot_of_what_they_tell(answer, klass, told, slots):
    known, found = _found(answer, klass, tuple(STARTS[slot] for slot in told))
    assert {word: slot for word, slot in known if slot != NOTHING_MORE} | slots == dict(
        pair for pair in known if pair[1] != NOTHING_MORE
    )
    for each in found:
        if each.slot != NOTHING_MORE:
            clock = datetime.fromtimestamp(STARTS[each.slot])
            assert (each.hour, each.minute, each.second) == (clock.hour, clock.minute, clock.second)
    in_order = klass != "past"  # others are found by their name and number
    assert [each.is_next for each in found] == [in_order and each.slot != told[0] for each in found]


@pytest.mark.parametrize(
    ("answer", "klass", "told", "end"),
    [
        ("At 16:01, a 2nd at 16:02: twice.", "past", (1, 2), (10, ":")),
        ("A car at 16:01.", "summary", (1,), (5, ".")),
        ("A car and a dog.", "recent", (2, 3), (4, ".")),
    ],
)
def test_behind_a_list_nothing_more_comes(answer, klass, told, end):
    known, found = _found(answer, klass, tuple(STARTS[slot] for slot in told))
    told_of = zip(known, found, strict=True)
    assert [(each.place, word) for (word, _), each in told_of if each.slot == NOTHING_MORE] == [end]


def test_a_length_is_from_the_slot_where_it_begins_to_the_one_in_which_it_is_gone():
    known, found = _found("From 16:01:00 to 16:03:10, 2 minutes.", "duration", (STARTS[1], STARTS[3]))
    assert [slot for _, slot in known] == [1] * 6 + [3] * 6
    assert {(each.hour, each.minute, each.second) for each in found} == {(16, 1, 0), (16, 3, 10)}


def test_what_no_slot_tells_is_not_asked_for():
    assert _found("The gate is open.", "now", ())[0] == []
    assert _found("No, I saw no dog.", "never", ())[0] == []
    assert _found("At 16:01.", "past", (STARTS[1] + 5,))[0] == [(".", NOTHING_MORE)]


def test_of_real_memories_each_time_is_that_of_its_slot(bundled):
    long_ones = draw_history(bundled.encoder, np.random.default_rng([2, 3]), seed=20_002, spans_seconds=(800.0, 1600.0))
    num_times, num_ends, num_lists = 0, 0, 0
    for snapshot in long_ones:
        each = write(bundled, snapshot, np.random.default_rng(3))
        ends = (*each.starts[1:], len(each.ids))
        for place, slot, is_next, *told in each.sources.tolist():
            following = bundled.tokenizer.decode(each.ids[place + 1 : place + 2]).strip()
            if slot == NOTHING_MORE:
                num_lists += 1
                assert following in (":", ".")
                continue
            end = min(end for end in ends if end > place)
            start = max(start for start in each.starts if start <= place)
            own, answer = snapshot.evidence.slots[slot], bundled.tokenizer.decode(each.ids[start:end])
            is_end = is_next and " From " in answer
            clock = datetime.fromtimestamp(own.start_seconds)
            assert told == [clock.hour, clock.minute, clock.second]
            before = bundled.tokenizer.decode(each.ids[place - 1 : place + 1]).strip()
            if re.fullmatch(r"\d\d:", before):
                num_times += 1
                assert following in (f"{clock.minute:02}", f"{clock.second:02}")
            num_ends += is_end
    assert num_times > 20
    assert num_ends > 20
    assert num_lists > 5
