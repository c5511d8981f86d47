"""What is asked days later is answered from the archive, and counted by when it was asked."""

import pytest

from benchmarks import bench_later
from benchmarks.recall import first_token, later
from benchmarks.recall.later import CLASSES, LATER_SECONDS, WAYS, AskedLater, LaterJob
from streamer.yard.exam import memory_for
from streamer.yard.sightings import Sightings, remember
from streamer.yard.world import World

NOON = 1_795_350_000.0


def test_accuracy_is_by_how_much_later_it_was_by_way_and_class():
    def asked(klass, *right):
        keys = [(seconds, way) for seconds in LATER_SECONDS for way in WAYS]
        return AskedLater(klass, dict(zip(keys, right, strict=True)))

    figures = bench_later.summarised(
        [asked("past", True, True, True, False, True, False), asked("past", True, False, False, False, True, False)]
    )
    assert figures["questions"] == {"recent": 0, "past": 2, "never": 0}
    assert list(figures["accuracy"]) == ["at once", "24 h", "7 days"]
    assert figures["accuracy"]["24 h"]["archive"] == {"recent": None, "past": 0.5, "never": None}
    assert figures["accuracy"]["7 days"] == {
        "archive": {"recent": None, "past": 1.0, "never": None},
        "long-term memory": {"recent": None, "past": 0.0, "never": None},
    }


def test_what_is_put_as_if_it_were_then_sees_nothing_of_later(bundled):
    memory = memory_for(bundled)
    remember(memory, Sightings(World(3, lively=True), bundled.encoder, fps=1.0).between(NOON, NOON + 240))
    evidence = memory.recall(0, now_seconds=NOON + 240, max_slots=30)
    then = later._until(evidence, NOON + 120)
    assert 0 < len(then.slots) == len(then.tokens) < len(evidence.slots)
    assert then.slots[-1].start_seconds <= NOON + 120 < evidence.slots[len(then.slots)].start_seconds
    assert then.now_seconds == NOON + 120
    nothing = later._until(evidence, NOON - 10)
    assert (nothing.slots, nothing.newest_seconds, nothing.frame_age_seconds) == ((), None, None)


@pytest.mark.parametrize("number", [2])
def test_a_world_is_asked_at_once_and_later(bundled, tmp_path, monkeypatch, number):
    monkeypatch.setattr(later, "bundled", lambda: bundled)
    for name, value in {"HOUR_SECONDS": 900.0, "OTHERS_SECONDS": 120.0, "LATER_SECONDS": (0.0, 480.0)}.items():
        monkeypatch.setattr(later, name, value)
    later.write_others(tmp_path)
    later.write_others(tmp_path)
    others = later.read_others(tmp_path)
    assert others[-1].end_seconds - others[0].start_seconds == pytest.approx(120, abs=1)
    asked = later.do_later(LaterJob(0, number, tmp_path))
    assert {each.klass for each in asked} <= set(CLASSES)
    assert asked
    for each in asked:
        assert set(each.right) == {(seconds, way) for seconds in (0.0, 480.0) for way in WAYS}
        assert each.right[0.0, "archive"] == each.right[480.0, "archive"]


def test_the_first_word_is_timed_after_a_minute_and_after_long(bundled, tmp_path, monkeypatch):
    monkeypatch.setattr(later, "bundled", lambda: bundled)
    monkeypatch.setattr(first_token, "bundled", lambda: bundled)
    for module in (later, first_token):
        monkeypatch.setattr(module, "OTHERS_SECONDS", 240.0)
    monkeypatch.setattr(first_token, "WATCHED_SECONDS", (60.0, 200.0, 2000.0))
    monkeypatch.setattr(first_token, "NUM_ASKED", 2)
    later.write_others(tmp_path)
    found = first_token.first_tokens(tmp_path)
    assert list(found) == ["60", "200", "2000"]
    assert all(each["first_token_ms"] > 0 for each in found.values())
    assert found["60"]["slots"] <= found["200"]["slots"] <= found["2000"]["slots"]
    assert found["2000"]["slots"] > 20
