"""What an exercise teaches follows from the times in it."""

import re
from datetime import datetime

import numpy as np
import pytest

from streamer.yard.drills import draw_drill
from streamer.yard.marking import is_right
from streamer.yard.past import YardQuestion
from streamer.yard.remembering import asked_ids

NOON = datetime(2026, 5, 4, 12, 0, 0).timestamp()


@pytest.fixture(scope="module")
def drills():
    rng = np.random.default_rng(4)
    return [draw_drill(NOON, rng) for _ in range(300)]


def _seconds(clock):
    hours, minutes, *seconds = map(int, clock.split(":"))
    return hours * 3600 + minutes * 60 + sum(seconds)


def test_what_is_taught_follows_from_what_is_given(drills):
    num_of = dict.fromkeys(("first", "long", "often"), 0)
    for drill in drills:
        given, taught = drill.answer[: drill.taught_from], drill.answer[drill.taught_from :]
        times = [_seconds(clock) for clock in re.findall(r"\d\d:\d\d(?::\d\d)?", given)]
        assert not re.search(r"\d:", taught)
        if found := re.fullmatch(r"The (.+) came at [\d:]+, the (.+) at [\d:]+:", given):
            num_of["first"] += 1
            assert times[0] != times[1]
            assert taught == f" the {found[1 + (times[1] < times[0])]} was first."
        elif given.startswith("From "):
            num_of["long"] += 1
            length, unit = re.fullmatch(r" (\d+) (second|minute)s\.", taught).groups()
            exact = (times[1] - times[0]) % 86_400
            assert abs(int(length) * {"second": 1, "minute": 60}[unit] - exact) <= (6 if unit == "second" else 31)
            assert (unit == "second") == (exact < 120) or exact in (119, 120, 121)
        else:
            num_of["often"] += 1
            assert given.startswith("At ")
            assert times == sorted(times)
            assert taught == {1: " once.", 2: " twice."}.get(len(times), f" {len(times)} times.")
    assert min(num_of.values()) > 40


def test_answers_have_the_form_in_which_they_are_marked(drills):
    for drill in drills:
        klass = "duration" if drill.answer.startswith("From") else "past"
        assert is_right(YardQuestion(drill.text, klass, drill.answer, 0.0), drill.answer)


def test_a_word_is_given_or_taught_never_both(drills, bundled):
    for drill in drills[:50]:
        given = bundled.tokenizer(f" {drill.answer[: drill.taught_from]}", add_special_tokens=False).input_ids
        whole = bundled.tokenizer(f" {drill.answer}", add_special_tokens=False).input_ids
        assert whole[: len(given)] == given
    assert asked_ids(bundled, drills[0].text)
