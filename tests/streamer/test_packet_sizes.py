"""Packet sizes tell motion from stillness, whatever pattern the encoder makes of a still scene."""

import random

import pytest

from streamer.packet_sizes import PacketSizes

PATTERNS = {"flat": [600], "tiny": [24], "B-frames": [1500, 100, 60, 60], "long": [900, 80, 80, 80, 80, 400, 80, 80]}


def still(pattern: list[int], count: int, *, seed: int = 0) -> list[int]:
    spread = random.Random(seed)
    return [round(pattern[index % len(pattern)] * spread.uniform(0.8, 1.2)) for index in range(count)]


def taught(pattern: list[int]) -> PacketSizes:
    sizes = PacketSizes()
    for num_bytes in still(pattern, 40):
        sizes.learn(num_bytes)
    return sizes


@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=PATTERNS)
def test_a_still_scene_says_nothing_for_hours(pattern: list[int]) -> None:
    sizes = taught(pattern)

    assert not any(sizes.says_motion(num_bytes) for num_bytes in still(pattern, 20_000, seed=1))


@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=PATTERNS)
def test_packets_three_times_as_large_say_motion_within_four(pattern: list[int]) -> None:
    sizes = taught(pattern)

    assert any(sizes.says_motion(3 * num_bytes + 20) for num_bytes in still(pattern, 4, seed=2))


def test_a_slow_drift_is_learned() -> None:
    sizes = taught([600])

    assert not any(sizes.says_motion(600 + index) for index in range(3000))


def test_before_anything_was_learned_nothing_is_said() -> None:
    sizes = PacketSizes()
    assert not any(sizes.says_motion(num_bytes) for num_bytes in (10, 100_000, 10))

    again = taught([600])
    again.forget()
    assert not again.says_motion(100_000)
