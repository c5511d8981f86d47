"""Pictures stay on the GPU that decoded them where that can be; else they are copied, and one line says so."""

import logging
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from streamer import on_gpu
from streamer.av_picture import AvPicture, Converter
from tests.rig.clips import CORNERS, Clip, chart, corners_of, encode, number_in

REPO = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def nothing_is_told_yet() -> None:
    on_gpu._tell_once.cache_clear()


def picture(width: int, height: int, pixel_format: str) -> AvPicture:
    frame = av.VideoFrame.from_ndarray(chart(width, height, 9), "rgb24").reformat(format=pixel_format)
    return AvPicture(frame, Converter(), time_seconds=0.0, pts_seconds=None)


def test_planes_are_shared_and_not_copied() -> None:
    frame = av.VideoFrame(64, 48, "nv12")
    luma, chroma = on_gpu.planes_of(frame)

    assert (luma.shape, chroma.shape) == ((48, 64), (24, 32, 2))
    luma.fill_(7)
    chroma.fill_(9)
    assert set(bytes(frame.planes[0])[:64]) == {7}
    assert set(bytes(frame.planes[1])[:64]) == {9}


@pytest.mark.parametrize("size", [(1920, 1080), (320, 240), (641, 361)])
def test_a_picture_is_the_same_made_by_torch_and_by_swscale(size: tuple[int, int]) -> None:
    each = picture(*size, "nv12")
    width, height = 320, 180

    ours, theirs = (make(width, height, is_gray=False) for make in (each._on_gpu, each._on_cpu))
    assert ours is not None
    assert number_in(ours) == 9
    assert np.abs(ours.astype(int) - theirs).mean() <= 3
    ours, theirs = (make(width, height, is_gray=True) for make in (each._on_gpu, each._on_cpu))
    assert ours is not None
    assert np.abs(ours.astype(int) - theirs).mean() <= 6, "swscale's grey is by BT.601, also in HD"


def test_planes_that_torch_cannot_take_are_copied_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    each = picture(320, 240, "yuv444p")

    assert each._on_gpu(160, 120, is_gray=False) is None
    assert each._on_gpu(160, 120, is_gray=True) is None

    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("decode: cuda: pictures are copied from the GPU whole (")


def test_a_torch_without_cuda_keeps_nothing_there_and_tells_it_once(caplog: pytest.LogCaptureFixture) -> None:
    if torch.cuda.is_available():
        pytest.skip("this torch has CUDA")

    assert on_gpu.owning_decoder() is None
    assert on_gpu.owning_decoder() is None
    assert caplog.messages == ["decode: cuda: pictures are copied from the GPU whole (this torch has no CUDA)"]


def test_a_process_that_reads_a_camera_does_not_load_torch_for_it() -> None:
    code = """
import sys
import streamer.isolated, streamer.av_source, streamer.on_gpu
assert streamer.on_gpu.owning_decoder() is None
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], cwd=REPO, check=True, timeout=60)


@pytest.mark.cuda
@pytest.mark.parametrize(
    "clip",
    [
        Clip(width=1280, height=720, colors=("ITU709", "MPEG")),
        Clip(width=640, height=360),
        Clip(width=640, height=360, codec="libx265", pixel_format="yuv420p10le", rotation=90),
    ],
    ids=["H.264 720p", "H.264 360p", "H.265 10 bit, turned"],
)
def test_pictures_that_a_gpu_decoded_are_made_small_there(
    tmp_path: Path, clip: Clip, caplog: pytest.LogCaptureFixture
) -> None:
    path = encode(tmp_path / "clip.mp4", (chart(clip.width, clip.height, number) for number in range(60)), clip)
    caplog.set_level(logging.INFO, "streamer")
    hardware = on_gpu.owning_decoder()
    assert hardware is not None

    with av.open(str(path), hwaccel=hardware) as on_device, av.open(str(path)) as on_host:
        converters = Converter(), Converter()
        for index, frames in enumerate(zip(on_device.decode(video=0), on_host.decode(video=0), strict=True)):
            assert frames[0].format.name == "cuda"
            ours, theirs = (
                AvPicture(frame, converter, time_seconds=0.0, pts_seconds=None)
                for frame, converter in zip(frames, converters, strict=True)
            )
            pixels = ours.rgb()
            assert np.abs(pixels.astype(int) - theirs.rgb()).mean() <= 3
            assert ours.gray(128).shape == theirs.gray(128).shape
            if not clip.rotation:
                assert number_in(pixels) == index
                for name, color in CORNERS.items():
                    assert corners_of(pixels)[name] == pytest.approx(color, abs=8)
    assert index == 59
    assert not caplog.messages, "nothing was copied whole"
