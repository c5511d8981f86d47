"""The recall benchmark counts what it should, and replays what was seen."""

import torch

from benchmarks.bench_recall import AGES_SECONDS, summarised
from benchmarks.recall.asking import Asked, Job, answer_of, ask_world, read_answers, write_answers
from benchmarks.recall.plot import draw_plot
from benchmarks.recall.seen import sightings_of
from streamer.yard.exam import memory_for
from streamer.yard.questions import YardQuestion
from streamer.yard.sightings import Sightings, remember
from streamer.yard.world import World

NOON = 1_795_350_000.0


def _asked(klass, age_seconds, right, facts=None):
    return Asked(YardQuestion("?", klass, "!", age_seconds), right, facts or {})


def test_accuracy_is_by_class_and_by_age_of_the_evidence():
    asked = [
        _asked("past", 25.0, {"a": True, "b": False}),
        _asked("past", 5000.0, {"a": True, "b": True}),
        _asked("recent", 30.0, {"a": False, "b": False}),
        _asked("now", 0.0, {"a": True, "b": False}),
        _asked("summary", 400.0, {"a": False, "b": False}, {"a": (3, 2, 1), "b": (3, 0, 0)}),
    ]
    figures = summarised(asked, ("a", "b"))
    assert figures["accuracy"]["a"]["past"] == 1.0
    assert figures["accuracy"]["b"]["past"] == 0.5
    assert figures["accuracy"]["a"]["never"] is None
    assert figures["questions"]["past"] == 2
    assert figures["accuracy_by_age"]["a"]["30"] == {"accuracy": 0.5, "questions": 2}
    assert figures["accuracy_by_age"]["b"]["10800"] == {"accuracy": 1.0, "questions": 1}
    assert sum(each["questions"] for each in figures["accuracy_by_age"]["a"].values()) == 4
    assert figures["summaries"]["a"] == {"facts": 3, "found": 2, "made_up": 1}
    assert list(figures["accuracy_by_age"]["a"]) == [str(age) for age in AGES_SECONDS]


def test_answers_of_a_stopped_run_are_read_back(tmp_path):
    asked = [
        Asked(YardQuestion("?", "past", "!", 3.0, ("!!",)), {"a": True}, {}),
        _asked("summary", 9.0, {"a": False}, {"a": (1, 1, 0)}),
    ]
    write_answers(tmp_path / "x.json", asked)
    assert read_answers(tmp_path / "x.json") == asked


def test_what_was_seen_is_kept_and_gives_the_same_memory(bundled, tmp_path):
    world, span = World(3, lively=True), {"since_seconds": NOON, "until_seconds": NOON + 60}
    first, again = (sightings_of(world, bundled.encoder, fps=2.0, cache=tmp_path, **span) for _ in range(2))
    assert len(list(tmp_path.iterdir())) == 1
    drawn = list(Sightings(world, bundled.encoder, fps=2.0).between(NOON, NOON + 60))
    assert [each.time_seconds for each in again] == [each.time_seconds for each in drawn]
    assert [each.tokens is None for each in again] == [each.tokens is None for each in drawn]
    memories = []
    for sightings in (first, again, drawn):
        memory = memory_for(bundled)
        remember(memory, sightings)
        memories.append(memory.recall(0, now_seconds=NOON + 60, max_slots=20))
        memories[-1] = (memories[-1].slots, memories[-1].tokens.clone())
    assert memories[0][0] == memories[1][0]
    assert torch.equal(memories[0][1], memories[1][1])
    assert torch.allclose(memories[0][1], memories[2][1], atol=1e-2)


def test_who_sees_nothing_answers_too(bundled):
    assert answer_of(bundled, None, "Is the gate open?", NOON)


def test_all_policies_are_asked_the_same_of_one_world(bundled, tmp_path):
    names = ("similarity", "fifo", "last 4 frames", "blind")
    job = Job(seed=1, number=2, span_seconds=60.0, names=names, classes=("now", "unknowable"), cache=tmp_path)
    asked = list(ask_world(bundled, job))
    assert len(asked) == 6
    assert all(tuple(each.right) == names for each in asked)
    unknowable = [each for each in asked if each.question.klass == "unknowable"]
    assert all(each.right["blind"] for each in unknowable)
    assert [each.question for each in ask_world(bundled, job)] == [each.question for each in asked]


def test_the_plot_shows_each_policy(tmp_path):
    points = {"10": {"accuracy": 0.9, "questions": 30}, "3600": {"accuracy": 0.7, "questions": 2}}
    draw_plot({"accuracy_by_age": {"similarity": points, "blind": points}}, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 5_000
