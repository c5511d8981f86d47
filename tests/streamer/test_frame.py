"""A frame checks itself and prints shapes, not data."""

import numpy as np
import pytest
from numpy.typing import NDArray

from streamer.frame import Frame


def make(pixels: NDArray[np.uint8] | None = None, **fields: object) -> Frame:
    values: dict[str, object] = {"time_seconds": 10.0, "pts_seconds": None, "index": 0, "camera": "front", **fields}
    return Frame(np.zeros((4, 6, 3), np.uint8) if pixels is None else pixels, **values)  # type: ignore[arg-type]


def test_a_frame_prints_its_shape() -> None:
    assert repr(make()) == "Frame(front #0, 6x4, time_seconds=10.000)"
    assert "gap since 5.0" in repr(make(gap_before=True, gap_start_seconds=5.0))


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.zeros((4, 6), np.uint8), r"uint8 \[H, W, 3\], got uint8 \[4, 6\]"),
        (np.zeros((4, 6, 3), np.float32), "got float32"),
        (np.zeros((0, 6, 3), np.uint8), r"got uint8 \[0, 6, 3\]"),
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
    ],
)
def test_impossible_fields_fail(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"must be|needs"):
        make(**fields)
