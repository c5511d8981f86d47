"""Questions whose answers follow from the truth."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from streamer.yard.lessons import draw_state
from streamer.yard.questions import describe, draw_exchange, named_in, note
from streamer.yard.world import COLOURS, KINDS, Thing, YardState


def _state(*names, **changes):
    things = tuple(Thing(kind, colour, 0, 0, 1, 0, 0, 0) for kind, colour in names)
    return replace(YardState(0.0, things, gate_open=False, lamp_on=True, daylight=1.0), **changes)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], "The yard is empty."),
        ([("car", "red")], "I see a red car."),
        ([("car", "red"), ("person", "blue")], "I see a person in blue and a red car."),
        (
            [("parcel", "brown"), ("person", "red"), ("person", "red")],
            "I see a person in red, a person in red and a brown parcel.",
        ),
    ],
)
def test_a_description_names_all_in_a_fixed_order(names, expected):
    assert describe(_state(*names)) == expected


def test_a_note_is_one_line_of_at_most_200_bytes_even_for_a_full_yard():
    names = [(kind, max(COLOURS[kind], key=len)) for kind in (*KINDS, "person", "person", "parcel", "truck")]
    line = note(_state(*names))
    assert "\n" not in line
    assert note(_state(("dog", "brown"))) == "A brown dog; gate closed, lamp on, day."


def test_what_a_description_names_can_be_read_back():
    rng = np.random.default_rng(0)
    for _ in range(300):
        state = draw_state(rng)
        assert named_in(describe(state)) == Counter(state.named())


def test_other_sentences_name_nothing_by_accident():
    assert not named_in("The car is red. A person comes. I see a purple car and a red house.")


@pytest.mark.parametrize("seed", range(3))
def test_every_answer_is_true_of_its_state(seed):
    rng = np.random.default_rng(seed)
    for _ in range(500):
        state = draw_state(rng)
        exchange = draw_exchange(state, rng)
        there = Counter(kind for kind, _ in state.named())
        answer = exchange.answer
        if answer.startswith("Yes"):
            assert named_in(answer) <= Counter(state.named())
        elif answer.startswith("No, I see no "):
            assert not there[answer.removeprefix("No, I see no ").rstrip(".")]
        elif answer.startswith("No, I do not see "):
            assert not named_in(answer) & Counter(state.named())
        elif answer.startswith("There are no"):
            assert any(not there[kind] for kind in KINDS)
        elif answer.startswith("The gate"):
            assert ("open" in answer) is state.gate_open


def test_yes_and_no_are_balanced_so_that_the_question_does_not_tell():
    rng = np.random.default_rng(9)
    answers = Counter(draw_exchange(draw_state(rng), rng).answer.split(",")[0].split()[0] for _ in range(4000))
    assert 0.4 < answers["Yes"] / (answers["Yes"] + answers["No"]) < 0.75
