"""The benchmark of kills sees what is missing, and a killed agent has lost nothing beyond its ring."""

from benchmarks.bench_crash import RING_SECONDS, WRITTEN_WITHIN_SECONDS, Told, absent, kill_one
from memory import Archive
from tests.memory.moments import ENCODER, START, moment


def test_what_no_row_covers_is_absent(tmp_path):
    with Archive(tmp_path, encoder=ENCODER) as archive:
        archive.add("yard", [moment(0), moment(1, scene=0), moment(3)], now_seconds=START)
    told = [Told("yard", each.start_seconds, each.end_seconds, 0.0) for each in map(moment, range(4))]
    assert absent(tmp_path, told) == [told[2]]
    assert absent(tmp_path, [Told("street", START, START, 0.0)]) != []


def test_an_agent_that_is_killed_has_lost_at_most_its_ring(tmp_path):
    told, killed_seconds = kill_one(tmp_path, after_seconds=4.0)
    assert told
    missing = absent(tmp_path, told)
    newest = max(each.end_seconds for each in told)
    assert not [each for each in missing if each.end_seconds < newest - RING_SECONDS]
    assert not [each for each in missing if killed_seconds - each.heard_seconds > WRITTEN_WITHIN_SECONDS]
