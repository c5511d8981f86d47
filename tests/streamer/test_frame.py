"""A frame checks itself and prints shapes, not data."""

import numpy as np
import pytest
from numpy.typing import NDArray

from streamer.frame import NO_PIXELS, Frame


def make(pixels: NDArray[np.uint8] | None = None, **fields: object) -> Frame:
    values: dict[str, object] = {"time_seconds": 10.0, "pts_seconds": None, "index": 0, "camera": "front", **fields}
    return Frame(np.zeros((4, 6, 3), np.uint8) if pixels is None else pixels, **values)  # type: ignore[arg-type]


def test_a_frame_prints_its_shape() -> None:
    assert repr(make()) == "Frame(front #0, 6x4, time_seconds=10.000)"
    assert "gap since 5.0" in repr(make(gap_before=True, gap_start_seconds=5.0))


def test_a_still_frame_has_a_time_and_no_pixels() -> None:
    still = make(NO_PIXELS, index=3)

    assert still.is_still
    assert (still.num_pictures, still.end_seconds) == (1, 10.0)
    assert repr(still) == "Frame(front #3, still, time_seconds=10.000)"


def test_a_frame_is_extended_by_the_still_ones_after_it() -> None:
    frame = make(gap_before=True, gap_start_seconds=5.0)
    stills = make(NO_PIXELS, time_seconds=11.0, index=1).extended(make(NO_PIXELS, time_seconds=12.0, index=2))

    longer = frame.extended(stills)

    assert (stills.num_pictures, stills.time_seconds, stills.end_seconds) == (2, 11.0, 12.0)
    assert (longer.num_pictures, longer.num_unchanged, longer.end_seconds) == (3, 2, 12.0)
    assert (longer.time_seconds, longer.index, longer.gap_start_seconds) == (10.0, 0, 5.0)
    assert longer.pixels is frame.pixels
    assert "unchanged until 12.000" in repr(longer)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.zeros((4, 6), np.uint8), r"uint8 \[H, W, 3\], got uint8 \[4, 6\]"),
        (np.zeros((4, 6, 3), np.float32), "got float32"),
        (np.zeros((0, 6, 3), np.uint8), r"where still, got \[0, 6, 3\]"),
        (np.zeros((4, 12, 3), np.uint8)[:, ::2], "C-contiguous"),
    ],
)
def test_pixels_of_another_kind_fail(pixels: NDArray[np.uint8], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(pixels)


@pytest.mark.parametrize(
    "fields",
    [
        {"time_seconds": float("nan")},
        {"index": -1},
        {"gap_start_seconds": 5.0},
        {"gap_before": True, "gap_start_seconds": 10.0},
        {"num_unchanged": 1},
        {"num_unchanged": -1},
        {"unchanged_until_seconds": 11.0},
        {"num_unchanged": 1, "unchanged_until_seconds": 10.0},
        {"pixels": NO_PIXELS, "gap_before": True},
    ],
)
def test_impossible_fields_fail(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"must|needs"):
        make(**fields)
