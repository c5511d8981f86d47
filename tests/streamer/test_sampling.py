"""The sampler keeps its rate without drift, and paints masks black."""

import numpy as np
import pytest

from streamer.sampling import Sampler


def sampled(times_seconds: list[float], fps: float) -> list[int]:
    sampler = Sampler(fps)
    return [index for index, time_seconds in enumerate(times_seconds) if sampler.wants(time_seconds)]


def test_ten_per_second_at_two_is_every_fifth() -> None:
    assert sampled([1e9 + index / 10 for index in range(1000)], 2) == list(range(0, 1000, 5))


def test_jitter_changes_nothing() -> None:
    jitter = np.random.default_rng(0).uniform(-0.03, 0.03, 1000)
    times = [1e9 + index / 10 + (jitter[index] if index else 0.0) for index in range(1000)]

    assert sampled(times, 2) == list(range(0, 1000, 5))


@pytest.mark.parametrize(
    ("source_fps", "fps", "expected"), [(15, 10, 10), (30, 7, 7), (25, 4, 4), (10, 10, 10), (5, 10, 5)]
)
def test_the_rate_holds_for_any_source(source_fps: int, fps: float, expected: int) -> None:
    times = [1e9 + index / source_fps for index in range(source_fps * 100)]

    assert len(sampled(times, fps)) == pytest.approx(100 * expected, abs=2)


def test_after_a_pause_the_grid_starts_anew_and_no_burst_follows() -> None:
    times = [index / 10 for index in range(20)] + [60.03 + index / 10 for index in range(11)]

    assert sampled(times, 2) == [0, 5, 10, 15, 20, 25, 30]


def test_masks_are_black_and_the_rest_is_untouched() -> None:
    pixels = np.full((100, 200, 3), 200, np.uint8)

    Sampler(2, [[(0, 0), (0.5, 0), (0.5, 0.5), (0, 0.5)], [(1, 1), (0.9, 1), (1, 0.9)]]).apply_masks(pixels)

    assert not pixels[:50, :100].any()
    assert not pixels[99, 199].any()
    assert (pixels[52:89] == 200).all()
    assert (pixels[:, 102:178] == 200).all()


def test_a_mask_over_everything_leaves_nothing() -> None:
    pixels = np.full((63, 101, 3), 200, np.uint8)

    Sampler(2, [[(0, 0), (1, 0), (1, 1), (0, 1)]]).apply_masks(pixels)

    assert not pixels.any()


def test_a_mask_of_two_points_fails() -> None:
    with pytest.raises(ValueError, match="at least 3 points, got 2"):
        Sampler(2, [[(0, 0), (1, 1)]])
