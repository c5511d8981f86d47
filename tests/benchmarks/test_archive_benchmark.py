"""The benchmark of the archive lives what it saw, day after day, and measures each mark."""

from benchmarks.bench_archive import FPS, live, see


def test_a_short_day_is_lived_and_measured(tmp_path):
    seen = see(120.0)
    assert len(seen.seconds) == 120 * FPS
    assert 0 < len(seen.tokens) < len(seen.seconds)
    first, second = live(tmp_path, seen, days=2)
    assert second == {}
    assert first["day"] == 1
    assert first["moments"] >= 1
    assert first["writes"] >= first["moments"]
    assert first["used_bytes"] <= first["bytes_on_disk"] + 65_536
    assert 0 < first["write_ms_p50"] <= first["write_ms_p99"]
    assert 0 < first["recall_ms_p50"] <= first["recall_ms_p99"]
