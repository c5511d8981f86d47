"""Moments come back from disk as they were written, and what was still takes one row."""

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from memory import Archive, EncoderKind, Memory, Retention
from memory.archive import LONGEST_MOMENT_SECONDS
from memory.retention import LEAST_BYTES
from tests.memory.moments import ENCODER, START, moment, tokens_of

ALL = {"most": 100_000, "until_seconds": float("inf")}


def test_moments_come_back_as_they_were_written(tmp_path):
    written = [moment(number, gap_before=number == 2, picture=b"jpeg%d" % number) for number in range(5)]
    with Archive(tmp_path, encoder=ENCODER) as archive:
        ids = archive.add("yard", written, now_seconds=START)
        archive.add("street", [moment(50)], now_seconds=START)
    with Archive(tmp_path, encoder=ENCODER) as archive:
        kept = list(archive.newest("yard", **ALL))
        assert [each.moment_id for each in kept] == ids
        assert [archive.picture(each) for each in ids] == [each.picture for each in written]
        for found, true in zip(kept, written, strict=True):
            assert (found.start_seconds, found.end_seconds, found.weight) == (
                true.start_seconds,
                true.end_seconds,
                true.weight,
            )
            assert found.gap_before == true.gap_before
            assert np.array_equal(found.tokens.levels, true.tokens.levels)
            assert np.array_equal(found.tokens.scales, true.tokens.scales)
        newest = archive.newest("yard", most=2, until_seconds=written[3].end_seconds)
        assert [each.moment_id for each in newest] == ids[2:4]
        assert not list(archive.newest("nobody", **ALL))


def test_a_scene_that_does_not_change_is_one_row_that_grows(tmp_path):
    still = [moment(number, scene=1, noise=0.01 * (number % 2)) for number in range(200)]
    with Archive(tmp_path, encoder=ENCODER) as archive:
        ids = archive.add("yard", [moment(-1, scene=2), *still, moment(200, scene=3)], now_seconds=START)
        (before, night, after) = archive.newest("yard", **ALL)
        assert len(set(ids)) == 3
        assert night.start_seconds == still[0].start_seconds
        assert night.end_seconds == still[-1].end_seconds
        assert night.weight == 200 * 9
        assert before.weight == after.weight == 9


def test_an_unchanged_scene_begins_a_new_row_every_hour_and_after_a_gap(tmp_path):
    count = int(2.5 * LONGEST_MOMENT_SECONDS / 4.5)
    still = [moment(number, scene=1, gap_before=number == 10) for number in range(count)]
    with Archive(tmp_path, encoder=ENCODER) as archive:
        archive.add("yard", still, now_seconds=START)
        kept = list(archive.newest("yard", **ALL))
        assert len(kept) == 4
        assert kept[1].gap_before
        assert max(each.end_seconds - each.start_seconds for each in kept) <= LONGEST_MOMENT_SECONDS
        assert sum(each.weight for each in kept) == 9 * count


def test_a_clock_that_was_set_back_spoils_nothing(tmp_path):
    with Archive(tmp_path, encoder=ENCODER) as archive:
        ids = archive.add("yard", [moment(1000, scene=1), moment(200, scene=1)], now_seconds=START)
        assert len(set(ids)) == 2
        assert [each.moment_id for each in archive.newest("yard", **ALL)] == ids[::-1]


def test_a_run_that_begins_later_begins_with_a_gap(tmp_path):
    for number in (0, 1):
        with Archive(tmp_path, encoder=ENCODER) as archive:
            archive.add("yard", [moment(number, scene=1)], now_seconds=START)
    with Archive(tmp_path, encoder=ENCODER) as archive:
        assert [each.gap_before for each in archive.newest("yard", **ALL)] == [False, True]


def test_a_moment_keeps_its_first_note(tmp_path):
    with Archive(tmp_path, encoder=ENCODER) as archive:
        (moment_id,) = archive.add("yard", [moment(0)], now_seconds=START)
        archive.set_note(moment_id, "A car comes.")
        archive.set_note(moment_id, "Another.")
        archive.set_note(moment_id + 1, "Of nothing.")
        (kept,) = archive.newest("yard", **ALL)
        assert kept.note == "A car comes."


def test_tokens_of_another_encoder_are_left_alone(tmp_path):
    with Archive(tmp_path, encoder=ENCODER) as archive:
        archive.add("yard", [moment(0)], now_seconds=START)
    with Archive(tmp_path, encoder=EncoderKind("another", 4, 8)) as archive:
        (kept,) = archive.newest("yard", **ALL)
        assert kept.tokens is None
        assert archive.picture(kept.moment_id) == b"jpeg"
    with Archive(tmp_path, encoder=ENCODER) as archive:
        (kept,) = archive.newest("yard", **ALL)
        assert kept.tokens is not None


def test_tokens_of_another_shape_fail_and_nothing_is_written(tmp_path):
    with Archive(tmp_path, encoder=EncoderKind("tests", 4, 9)) as archive:
        with pytest.raises(ValueError, match="expected tokens of"):
            archive.add("yard", [moment(0)], now_seconds=START)
        assert not list(archive.newest("yard", **ALL))


def test_memory_goes_on_from_the_archive(tmp_path):
    """What was forgotten with the process is in memory again, with its notes, and the time between is a gap."""
    written = [moment(number, gap_before=number == 500) for number in range(600)]
    with Archive(tmp_path, encoder=ENCODER) as archive:
        ids = archive.add("yard", written, now_seconds=START)
        for number, moment_id in enumerate(ids):
            archive.set_note(moment_id, f"Scene {number}.")
    with Archive(tmp_path, encoder=ENCODER) as archive:
        memory = Memory(1, num_tokens=4, width=8, max_slots=64)
        nbytes = memory.nbytes
        alive = memory.restore(0, archive.newest("yard", **ALL))
        assert memory.fill(0).long_term_slots == len(alive) > 100
        for slot_id, moment_id in alive.items():
            assert memory.set_picture(0, slot_id, archive.picture(moment_id))
    now = written[-1].end_seconds + 100
    memory.push(0, tokens_of(7), time_seconds=now, picture=b"new")
    evidence = memory.recall(0, now_seconds=now, max_slots=64)
    assert sum(slot.weight for slot in evidence.slots) == 600 * 9 + 1
    assert evidence.slots[0].start_seconds == START
    assert all(slot.note.startswith("Scene ") for slot in evidence.slots[:-1])
    assert {slot.picture for slot in evidence.slots[:-1]} == {b"jpeg"}
    assert [(gap.start_seconds, gap.end_seconds) for gap in evidence.gaps] == [
        (written[499].end_seconds, written[500].start_seconds),
        (written[-1].end_seconds, now),
    ]
    assert all(later.start_seconds >= earlier.end_seconds for earlier, later in pairwise(evidence.slots))
    assert memory.nbytes == nbytes


_WRITER = """
import sys
from pathlib import Path
from memory import Archive
from tests.memory.moments import ENCODER, START, moment
archive = Archive(Path(sys.argv[1]), encoder=ENCODER)
number = 0
while True:
    archive.add("yard", [moment(number)], now_seconds=START)
    print(number, flush=True)
    number += 1
"""


def test_what_was_written_survives_a_kill(tmp_path):
    for told in (1, 40):
        folder = tmp_path / str(told)
        writer = subprocess.Popen(
            [sys.executable, "-c", _WRITER, folder], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
        )
        try:
            lines = [writer.stdout.readline() for _ in range(told)]
        finally:
            writer.kill()
            rest = writer.communicate(timeout=20)[0]
        last = int(([*lines, *rest.split()] or ["-1"])[-1])
        with Archive(folder, encoder=ENCODER) as archive:
            kept = list(archive.newest("yard", **ALL))
        assert len(kept) >= last + 1
        assert [each.start_seconds for each in kept] == [moment(number).start_seconds for number in range(len(kept))]


def test_an_archive_without_an_end_stays_within_its_bytes(tmp_path):
    """At every moment, with its log; the newest stay, and what had a note longer than what had none."""
    retention = Retention(keep_bytes=LEAST_BYTES)
    with Archive(tmp_path, encoder=ENCODER, retention=retention) as archive:
        for number in range(0, 2400, 10):
            batch = [moment(number + k, picture=bytes(40_000)) for k in range(10)]
            ids = archive.add("yard", batch, now_seconds=batch[-1].end_seconds)
            archive.set_note(ids[0], f"Something new, {number}.")
            assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= LEAST_BYTES
        kept = list(archive.newest("yard", **ALL))
        assert kept[-1].moment_id == ids[-1]
        noted = [each for each in kept if each.note]
        oldest_plain = min(each.start_seconds for each in kept if not each.note)
        newest = kept[-1].end_seconds
        assert newest - noted[0].start_seconds == pytest.approx(2 * (newest - oldest_plain), rel=0.1)
        assert archive.used_bytes > LEAST_BYTES / 2
