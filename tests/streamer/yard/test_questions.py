"""Questions whose answers follow from the truth."""

import re
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest

from streamer.yard.answers import facts_in, name_thing
from streamer.yard.events import SAME_COMING_SECONDS
from streamer.yard.lessons import draw_scene
from streamer.yard.questions import (
    CANNOT_KNOW,
    CLASSES,
    NothingToAsk,
    YardQuestion,
    describe,
    draw_exchange,
    draw_moment,
    draw_question,
    is_right,
    named_in,
    note,
)
from streamer.yard.wordings import BY_CLASS
from streamer.yard.world import COLOURS, KINDS, RARE_KINDS, Thing, World, YardState

DAY = datetime(2026, 6, 1).timestamp()


def _state(*names, **changes):
    things = tuple(Thing(kind, colour, 0, 0, 1, 0, 0, 0) for kind, colour in names)
    return replace(YardState(0.0, things, gate_open=False, lamp_on=True, daylight=1.0), **changes)


def _questions(klass, number, *, seed=0, held_out=False, memory_seconds=(600, 1800, 3600, 7200)):
    """[(world, since_seconds, now_seconds, question)], as a training or a benchmark draws them."""
    rng = np.random.default_rng([seed, CLASSES.index(klass)])
    found = []
    while len(found) < number:
        world = World(int(rng.integers(100)))  # few worlds: their days are planned once
        now = draw_moment(world, DAY, rng)
        since = now - float(rng.choice(memory_seconds))
        try:
            question = draw_question(world, since, now, rng, klass=klass, held_out=held_out)
        except NothingToAsk:
            continue
        found.append((world, since, now, question))
    return found


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
        ([("smoke", ""), ("climber", "red"), ("car", "red")], "I see a red car, a person on the fence and smoke."),
        ([("fallen bicycle", "green")], "I see a fallen bicycle."),
    ],
)
def test_a_description_names_all_in_a_fixed_order(names, expected):
    assert describe(_state(*names)) == expected


def test_a_note_is_one_line_of_at_most_200_bytes_even_for_a_full_yard():
    names = [(kind, max(COLOURS[kind], key=len)) for kind in (*KINDS, "person", "person")]
    line = note(_state(*names, ("climber", "red")))
    assert "\n" not in line
    assert len(line.encode()) <= 200
    assert note(_state(("dog", "brown"))) == "A brown dog; gate closed, lamp on, day."


def test_what_a_description_names_can_be_read_back():
    rng = np.random.default_rng(0)
    for _ in range(300):
        state = World.state_at(*draw_scene(rng))
        assert named_in(describe(state)) == Counter(state.named())
        assert named_in(note(state)) == Counter(state.named())


def test_other_sentences_name_nothing_by_accident():
    assert not named_in("The car is red. A person comes. I see a purple car and a red house.")
    assert not named_in("No, I saw no smoke. No, I see no person on the fence.")


@pytest.mark.parametrize("seed", range(3))
def test_every_answer_about_now_is_true_of_its_state(seed):
    rng = np.random.default_rng(seed)
    for _ in range(500):
        state = World.state_at(*draw_scene(rng))
        exchange = draw_exchange(state, rng)
        there = Counter(kind for kind, _ in state.named())
        answer = exchange.answer
        if answer.startswith("Yes"):
            assert named_in(answer) <= Counter(state.named())
        elif answer.startswith("No, I see no "):
            kind = answer.removeprefix("No, I see no ").rstrip(".")
            assert not there["climber" if kind == "person on the fence" else kind]
        elif answer.startswith("No, I do not see "):
            assert not named_in(answer) & Counter(state.named())
        elif answer.startswith("There are no"):
            assert any(not there[kind] for kind in KINDS)
        elif answer.startswith("The gate"):
            assert ("open" in answer) is state.gate_open


def test_yes_and_no_are_balanced_so_that_the_question_does_not_tell():
    rng = np.random.default_rng(9)
    answers = Counter(
        draw_exchange(World.state_at(*draw_scene(rng)), rng).answer.split(",")[0].split()[0] for _ in range(1500)
    )
    assert 0.4 < answers["Yes"] / (answers["Yes"] + answers["No"]) < 0.75


def test_training_and_held_out_wordings_are_enough_and_disjoint():
    for klass in CLASSES:
        train = {wording for wordings in BY_CLASS[klass] for wording in wordings.train}
        held_out = {wording for wordings in BY_CLASS[klass] for wording in wordings.held_out}
        assert len(train) >= 6
        assert len(held_out) >= 3
    every = [wordings for klass in CLASSES for wordings in BY_CLASS[klass]]
    assert not {w.lower() for ws in every for w in ws.train} & {w.lower() for ws in every for w in ws.held_out}


@pytest.mark.parametrize("held_out", [False, True])
@pytest.mark.parametrize("klass", CLASSES)
def test_every_class_is_drawn_in_all_its_wordings_and_no_others(klass, held_out):
    def shape(text):
        pattern = re.escape(text)
        return re.sub(r"\\\{\w+\\\}", ".+", pattern)

    shapes = [
        re.compile(shape(wording))
        for wordings in BY_CLASS[klass]
        for wording in (wordings.held_out if held_out else wordings.train)
    ]
    seen = Counter()
    for *_, question in _questions(klass, 300, held_out=held_out):
        assert question.klass == klass
        matching = [pattern.pattern for pattern in shapes if pattern.fullmatch(question.text)]
        if klass != "never" or matching:  # never also asks how often
            assert matching, question.text
        seen.update(matching)
    assert len(seen) >= 0.9 * len(shapes)


def test_the_same_moment_and_choices_give_the_same_question():
    first, second = _questions("past", 20), _questions("past", 20)
    assert [question for *_, question in first] == [question for *_, question in second]


def _masked(question):
    """The question's and the answer's words without which thing it is about: what a blind guesser can use."""
    names = sorted({name_thing(kind, colour) for kind in KINDS for colour in ("", *COLOURS[kind])}, key=len)
    names = [name.removeprefix("a ") for name in [*names, *(name_thing(kind, "") for kind in RARE_KINDS)]]
    text, answer = question.text, question.answer
    for name in sorted(names, key=len, reverse=True):
        if re.search(rf"\b{name}\b", text):
            text, answer = (re.sub(rf"\b{name}\b", "X", words) for words in (text, answer))
    text = re.sub(r"\b(people|dogs|cars|trucks|bicycles|parcels)\b", "Xs", text)
    answer = re.sub(r"\b(people|dogs|cars|trucks|bicycles|parcels)\b", "Xs", answer)
    return re.sub(r"\d\d:\d\d|\d+ minutes", "T", text), answer


@pytest.mark.parametrize("klass", ["now", "recent", "past", "duration", "summary"])
def test_who_guesses_the_usual_answer_to_a_wording_is_right_at_most_half_of_the_time(klass):
    answers = defaultdict(Counter)
    for *_, question in _questions(klass, 2500, seed=5):
        text, answer = _masked(question)
        answers[text][answer] += 1
    guessed = sum(counts.most_common(1)[0][1] for counts in answers.values())
    assert guessed / 2500 <= 0.5


def _names_over(world, since, until, step_seconds=1.0):
    return [set(world.state_at(time).named()) for time in np.arange(since, until, step_seconds)]


def _newly_there(world, since, until):
    """The names that show up in [since, until) after they were absent for longer than a way between two lanes takes."""
    last_seen, newly = {}, set()
    for time in np.arange(since - 120, until, 0.5):
        for name in set(world.state_at(time).named()):
            if time >= since and time - last_seen.get(name, 0.0) > SAME_COMING_SECONDS:
                newly.add(name)
            last_seen[name] = time
    return newly


def _asked_about(text):
    """The (kind, colour) a question names, longest name first."""
    names = {name_thing(kind, colour).removeprefix("a "): (kind, colour) for kind in KINDS for colour in COLOURS[kind]}
    names |= {kind: (kind, "") for kind in KINDS}
    names |= {name_thing(kind, "").removeprefix("a "): (kind, "") for kind in RARE_KINDS}
    found = [name for name in names if re.search(rf"\b{name}\b", text)]
    return names[max(found, key=len)]


def _shows(names, asked):
    kind, colour = asked
    return any(name[0] == kind and (not colour or name[1] == colour) for name in names)


def test_what_never_came_was_in_no_state_of_the_span():
    for world, since, now, question in _questions("never", 40):
        asked = _asked_about(question.text)
        assert not any(_shows(names, asked) for names in _names_over(world, since, now, 2.0)), question


def test_what_came_was_not_there_before_and_is_there_at_the_minute_that_is_told():
    for _, _, now, question in (found := _questions("past", 150)):
        assert question.age_seconds > 0
        assert now - question.age_seconds < now
    checked = 0
    for world, _, now, question in found:
        if not question.answer.startswith(("Yes", "At")) or "gate" in question.text:
            continue
        checked += 1
        asked = _asked_about(question.text)
        start = now - question.age_seconds
        assert f"{datetime.fromtimestamp(start):%H:%M}" in question.answer
        assert _shows(world.state_at(start + 0.5).named(), asked)
        assert not any(_shows(names, asked) for names in _names_over(world, start - 20, start - 0.1))
    assert checked > 40


def test_how_often_counts_the_times_it_appears():
    checked = 0
    for world, since, now, question in _questions("past", 200, seed=2, memory_seconds=(1800,)):
        counts = {"once": 1, "twice": 2, "3 times": 3, "4 times": 4}
        told = re.fullmatch(r"At (.+): (once|twice|. times)\.", question.answer)
        if told is None:
            continue
        asked = _asked_about(question.text)
        if not asked[1]:
            continue  # two of a kind may overlap
        there = [_shows(names, asked) for names in _names_over(world, since, now)]
        num, absent_seconds = 0, 1000
        for is_there in there:
            num += is_there and absent_seconds >= 25
            absent_seconds = 0 if is_there else absent_seconds + 1
        checked += 1
        times = re.findall(r"\d\d:\d\d", told[1])
        assert num == counts[told[2]] == len(times), question
        as_learned_before = f"At {' and '.join(filter(None, (', '.join(times[:-1]), times[-1])))}, {told[2]}."
        assert is_right(question, as_learned_before)
        assert not is_right(question, as_learned_before.replace(times[-1], "03:33"))
    assert checked > 5


def test_which_came_first_is_the_one_with_the_earlier_time():
    checked = 0
    for world, since, now, question in _questions("past", 150, seed=3, memory_seconds=(1800,)):
        told = re.fullmatch(r"The (.+) came at [\d:]+, the (.+) at [\d:]+: the (.+) was first\.", question.answer)
        if told is None:
            continue
        checked += 1
        first, other = (_asked_about(told[3]), _asked_about(told[2] if told[3] == told[1] else told[1]))
        starts = question.told_seconds if told[3] == told[1] else question.told_seconds[::-1]
        assert since < starts[0] < starts[1] < now
        assert _shows(world.state_at(starts[0] + 0.5).named(), first)
        assert _shows(world.state_at(starts[1] + 0.5).named(), other)
    assert checked > 10


def test_a_recent_answer_names_what_newly_stood_in_the_last_minute():
    for world, _, now, question in _questions("recent", 60):
        newly = _newly_there(world, now - 60, now)
        if question.answer == "Nothing came by.":
            assert not newly
        elif not question.answer.startswith(("Yes", "No")):
            assert set(named_in(question.answer)) == newly


def test_the_gates_duration_is_the_last_stretch_of_open_states():
    checked = 0
    for world, _, now, question in _questions("duration", 60):
        if "gate" not in question.text:
            continue
        checked += 1
        end = now - question.age_seconds
        assert world.state_at(end - 0.5).gate_open
        length = 0
        while world.state_at(end - 0.5 - length).gate_open:
            length += 1
        told = re.search(r"(\d+) (second|minute)", question.answer)
        seconds = int(told[1]) * (60 if told[2] == "minute" else 1)
        assert abs(seconds - length) <= (30 if told[2] == "minute" else 6)
        start = end - length
        assert question.answer.startswith(f"From {datetime.fromtimestamp(question.told_seconds[0]):%H:%M:%S} to ")
        assert abs(question.told_seconds[0] - start) <= 1.0
        assert f" to {datetime.fromtimestamp(question.told_seconds[1]):%H:%M:%S}, " in question.answer
        assert abs(question.told_seconds[1] - end) <= 1.0
        assert not any(world.state_at(time).gate_open for time in np.arange(end + 0.1, now, 2.0))
    assert checked > 20


def test_a_summarys_facts_are_those_that_came_in_its_span():
    for world, _, now, question in _questions("summary", 60):
        match = re.search(r"between (\d\d):(\d\d) and (\d\d):(\d\d)|last (\d+ minutes|hour)", question.text)
        since = now - question.age_seconds
        if match[1]:
            assert f"{datetime.fromtimestamp(since):%H:%M}" == f"{match[1]}:{match[2]}"
            until = datetime.fromtimestamp(since).replace(hour=int(match[3]), minute=int(match[4]))
            until = (until + timedelta(days=until.timestamp() < since)).timestamp()
        else:
            until = now
        newly = _newly_there(world, since, until)
        assert {name for name, _ in facts_in(question.answer)} == newly, question
        assert len(facts_in(question.answer)) == named_in(question.answer).total()


def test_what_cannot_be_known_is_answered_so():
    assert {question.answer for *_, question in _questions("unknowable", 20)} == {CANNOT_KNOW}


def test_without_a_class_there_is_always_a_question_even_at_dead_of_night():
    rng = np.random.default_rng(4)
    classes = Counter()
    for seed in range(200):
        now = DAY + 3 * 3600 + seed * 60
        question = draw_question(World(seed), now - 1800, now, rng)
        classes[question.klass] += 1
    assert {"now", "never", "unknowable"} <= set(classes)


def test_a_question_about_nothing_that_came_fails():
    rng = np.random.default_rng(4)
    world = World(3)
    quiet = next(now for now in np.arange(DAY, DAY + 6 * 3600, 600) if not _came(world, now - 660, now + 1))
    with pytest.raises(NothingToAsk):
        draw_question(world, quiet - 600, quiet, rng, klass="past")


def _came(world, since, until):
    return [event for event in world.events(since, until) if event.start_seconds > since - 60]


def test_an_unknown_class_fails():
    with pytest.raises(ValueError, match="class must be one of now, recent"):
        draw_question(World(3), DAY, DAY + 600, np.random.default_rng(0), klass="future")


def test_every_true_answer_is_marked_right():
    for klass in CLASSES:
        for *_, question in _questions(klass, 60):
            for answer in (question.answer, *question.also_right):
                assert is_right(question, answer)
            assert isinstance(question, YardQuestion)
