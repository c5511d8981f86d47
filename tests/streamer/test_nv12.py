"""What torch makes of a decoder's planes is what swscale makes of them, and right by the formulas of BT.601 and 709."""

from pathlib import Path

import av
import numpy as np
import pytest
import torch
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from streamer import nv12
from streamer.av_picture import AvPicture, Converter
from streamer.on_gpu import planes_of

BT709, BT601 = 1, 5
LIMITED, FULL = 1, 2


@pytest.fixture(scope="module")
def street(data_folder: Path) -> VideoFrame:
    """A real decoded picture, 768x576."""
    with av.open(str(data_folder / "vtest_h264.mp4")) as container:
        return next(container.decode(video=0))


def planar(frame: VideoFrame, size: tuple[int, int], *, pixel_format: str, matrix: int, color_range: int) -> VideoFrame:
    planar = VideoReformatter().reformat(frame, width=size[0], height=size[1], format=pixel_format)
    planar.colorspace, planar.color_range = matrix, color_range
    return planar


@pytest.mark.data
@pytest.mark.parametrize("pixel_format", ["nv12", "p010le"])
@pytest.mark.parametrize("color_range", [LIMITED, FULL])
@pytest.mark.parametrize("matrix", [BT709, BT601])
@pytest.mark.parametrize("size", [(1920, 1080), (1280, 720), (768, 576), (640, 360), (642, 362), (160, 120), (3840, 2)])
def test_a_real_picture_is_what_swscale_makes_of_it(
    street: VideoFrame, size: tuple[int, int], matrix: int, color_range: int, pixel_format: str
) -> None:
    """Up to 3 levels on average: swscale's integers are 2 too dark in limited range. Single edges differ by more."""
    frame = planar(street, size, pixel_format=pixel_format, matrix=matrix, color_range=color_range)
    theirs = AvPicture(frame, Converter(), time_seconds=0.0, pts_seconds=None).rgb()
    luma, chroma = planes_of(frame)
    height, width = theirs.shape[:2]

    is_full = color_range == FULL
    ours = nv12.rgb_of(luma, chroma, width=width, height=height, matrix=matrix, is_full_range=is_full)

    assert ours.dtype == torch.uint8
    off = np.abs(ours.numpy().astype(int) - theirs)
    assert off.mean() <= (1.5 if is_full else 3.0)
    assert np.percentile(off, 99) <= 8


@pytest.mark.data
@pytest.mark.parametrize("color_range", [LIMITED, FULL])
def test_grey_is_what_swscale_makes_of_it(street: VideoFrame, color_range: int) -> None:
    frame = planar(street, (1920, 1080), pixel_format="nv12", matrix=BT601, color_range=color_range)
    theirs = AvPicture(frame, Converter(), time_seconds=0.0, pts_seconds=None).gray(128)

    ours = nv12.gray_of(planes_of(frame)[0], width=128, height=72, is_full_range=color_range == FULL)

    assert np.abs(ours.numpy().astype(int) - theirs).mean() <= 0.5


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16])
@pytest.mark.parametrize(
    ("matrix", "is_full_range", "expected"),
    [
        (BT709, False, (178.5, 109.9, 61.9)),
        (BT709, True, (170.4, 110.3, 68.0)),
        (BT601, False, (172.2, 106.3, 64.6)),
        (BT601, True, (164.9, 106.8, 70.4)),
        (99, True, (164.9, 106.8, 70.4)),
    ],
)
def test_a_flat_colour_is_exact_at_every_size(
    matrix: int, is_full_range: bool, expected: tuple[float, ...], dtype: torch.dtype
) -> None:
    """Y 120, Cb 100, Cr 160 by the standards' formulas."""
    unit = 256 if dtype == torch.uint16 else 1
    luma = torch.full((90, 160), 120 * unit).to(dtype)
    chroma = (torch.tensor([100, 160]) * unit).to(dtype).expand(45, 80, 2)

    for width, height in ((160, 90), (640, 360), (63, 31), (1, 1)):
        pixels = nv12.rgb_of(luma, chroma, width=width, height=height, matrix=matrix, is_full_range=is_full_range)
        assert pixels.shape == (height, width, 3)
        assert (pixels - torch.tensor(expected)).abs().max() <= 0.61


def test_areas_are_averaged_exactly() -> None:
    luma = torch.tensor([[0, 255, 0, 255, 90, 90]] * 4, dtype=torch.uint8)

    gray = nv12.gray_of(luma, width=3, height=2, is_full_range=True)
    uneven = nv12.gray_of(luma, width=4, height=2, is_full_range=True)

    assert gray.tolist() == [[128, 128, 90]] * 2
    assert uneven[0].tolist() == [85, 85, 200, 90]


def test_the_weights_that_are_kept_are_few() -> None:
    for width in range(1, 64):
        nv12.gray_of(torch.zeros(8, 64, dtype=torch.uint8), width=width, height=4, is_full_range=True)

        assert nv12._weights.cache_info().currsize <= 96
