"""The waits of a camera's clocks fit together: each state is seen before the next, and a still scene is no silence."""

import pytest

from streamer.kept_packets import MAX_KEPT_SECONDS
from streamer.patience import Patience


def test_a_silent_camera_is_stale_well_before_it_is_offline() -> None:
    patience = Patience()

    assert patience.stale + 2 * patience.tick < patience.read < patience.stall


def test_a_still_scene_whose_packets_are_kept_is_neither_stale_nor_without_pictures() -> None:
    patience = Patience()

    assert MAX_KEPT_SECONDS + patience.tick < patience.key_frames_stale
    assert patience.key_frames_stale == pytest.approx(3 * patience.stale)


@pytest.mark.parametrize(
    ("usual_seconds", "stale_seconds"), [(0.0, 5.0), (0.1, 5.0), (1.0, 5.0), (5.0, 11.0), (60, 15)]
)
def test_a_slow_camera_is_not_stale_between_two_of_its_pictures(usual_seconds: float, stale_seconds: float) -> None:
    assert Patience().stale_after(usual_seconds=usual_seconds) == pytest.approx(stale_seconds)
