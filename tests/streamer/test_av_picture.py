"""A decoded picture becomes RGB or grey at the size that is wanted, upright, and only when asked for."""

import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter

from streamer.av_picture import AvPicture, Converter, Turn
from tests.rig.clips import CORNERS, Clip, chart, corners_of, encode, number_in


def picture(width: int, height: int, *, pixel_format: str = "yuv420p", aspect: Fraction | None = None) -> AvPicture:
    frame = av.VideoFrame.from_ndarray(chart(width, height, 9), "rgb24")
    if pixel_format != "rgb24":
        frame = VideoReformatter().reformat(frame, format=pixel_format)
    return AvPicture(frame, Converter(pixel_aspect=aspect), time_seconds=1.0, pts_seconds=0.5)


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        ((640, 480), (640, 480)),
        ((176, 144), (176, 144)),
        ((3840, 2160), (640, 360)),
        ((642, 362), (640, 360)),
        ((2560, 1922), (640, 480)),
        ((1000, 2), (640, 2)),
        ((2, 2), (2, 2)),
    ],
)
def test_rgb_is_at_most_640_wide_and_never_larger(size: tuple[int, int], shown: tuple[int, int]) -> None:
    pixels = picture(*size).rgb()

    assert pixels.shape == (shown[1], shown[0], 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert pixels.flags.writeable
    assert pixels.flags.owndata


@pytest.mark.parametrize("pixel_format", ["yuv420p", "nv12", "yuv422p10le", "rgb24", "gray", "yuvj420p", "rgba"])
@pytest.mark.parametrize("size", [(641, 361), (1920, 1080), (320, 240)])
def test_grey_is_small_and_shows_the_same(size: tuple[int, int], pixel_format: str) -> None:
    each = picture(*size, pixel_format=pixel_format)

    gray = each.gray(128)

    assert gray.shape == (round(size[1] * 128 / size[0]), 128)
    assert gray.dtype == np.uint8
    assert gray.flags.c_contiguous
    bright = {name: values[0] for name, values in corners_of(np.dstack([gray] * 3)).items()}
    for name, color in CORNERS.items():
        assert bright[name] == pytest.approx(np.dot(color, [0.299, 0.587, 0.114]), abs=25)  # limited range is lighter
    assert number_in(each.rgb()) == 9  # asking for one does not spoil the other


def test_a_picture_that_was_converted_leaves_its_frame_alone() -> None:
    """PyAV's side data would hold each frame in a circle, megabytes at a time."""
    frame = av.VideoFrame.from_ndarray(chart(640, 360, 0), "rgb24").reformat(format="yuv420p")
    each = AvPicture(frame, Converter(), time_seconds=0.0, pts_seconds=None)
    before = sys.getrefcount(frame)

    each.rgb()
    each.gray(128)

    assert sys.getrefcount(frame) == before


def test_it_tells_the_size_that_was_sent() -> None:
    assert picture(1920, 1080).sent_size == (1920, 1080)


def test_grey_is_never_larger_than_the_picture() -> None:
    assert picture(64, 48).gray(128).shape == (48, 64)


def test_grey_averages_noise_away() -> None:
    noise = np.random.default_rng(0).integers(118, 139, (1080, 1920, 1), np.uint8)
    frame = av.VideoFrame.from_ndarray(np.repeat(noise, 3, axis=2), "rgb24").reformat(format="yuv420p")

    gray = AvPicture(frame, Converter(), time_seconds=0.0, pts_seconds=None).gray(128)

    assert gray.std() < 1.0


@pytest.mark.parametrize(
    ("size", "aspect", "shown"),
    [
        ((704, 576), Fraction(12, 11), (640, 480)),
        ((960, 576), Fraction(16, 15), (640, 360)),
        ((352, 288), Fraction(12, 11), (352, 264)),
        ((640, 480), Fraction(1, 1), (640, 480)),
        ((640, 480), Fraction(0, 1), (640, 480)),
        ((640, 480), Fraction(1, 100), (640, 480)),
        ((640, 480), None, (640, 480)),
    ],
)
def test_pixels_become_square_unless_their_shape_is_nonsense(
    size: tuple[int, int], aspect: Fraction | None, shown: tuple[int, int]
) -> None:
    assert picture(*size, aspect=aspect).rgb().shape == (shown[1], shown[0], 3)


@pytest.mark.parametrize(
    ("rotation", "is_mirrored", "turn"),
    [
        (0, False, Turn()),
        (90, False, Turn(is_transposed=True, flips_rows=True)),
        (180, False, Turn(flips_columns=True, flips_rows=True)),
        (270, False, Turn(is_transposed=True, flips_columns=True)),
        (0, True, Turn(flips_columns=True)),
        (180, True, Turn(flips_rows=True)),
        (100, False, Turn(is_transposed=True, flips_rows=True)),
    ],
)
def test_the_display_matrix_says_how_to_turn(tmp_path: Path, rotation: int, is_mirrored: bool, turn: Turn) -> None:
    clip = Clip(width=320, height=180, rotation=rotation, is_mirrored=is_mirrored)
    with av.open(str(encode(tmp_path / "turned.mp4", [chart(320, 180, 0)], clip))) as container:
        frame = next(container.decode(video=0))

    assert Turn.of(frame) == turn
    each = AvPicture(frame, Converter(), time_seconds=0.0, pts_seconds=None)
    assert each.rgb().shape == ((320, 180, 3) if turn.is_transposed else (180, 320, 3))
    assert each.gray(90).shape == ((160, 90) if turn.is_transposed else (51, 90))
