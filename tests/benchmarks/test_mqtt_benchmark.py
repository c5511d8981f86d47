"""The benchmark of MQTT asks in process and over a broker, and loses no question of many at once."""

import pytest

from benchmarks import bench_mqtt
from benchmarks.bench_mqtt import BURST, measure

pytestmark = pytest.mark.mqtt


async def test_questions_are_counted_and_none_is_lost(broker, monkeypatch):
    monkeypatch.setattr(bench_mqtt, "BURST_SECONDS", 1.0)
    figures = await measure(broker, 3, num_bursts=1)
    assert figures["questions"] == 3
    assert sum(figures["told"].values()) == BURST
    assert figures["told"].keys() == {"answered", "busy"}
    assert figures["told_twice"] == 0
    assert 0 < figures["added_ms"]["p50"] <= figures["over_mqtt_ms"]["p50"]
    assert figures["frames_per_second"]["asked"] > 0
