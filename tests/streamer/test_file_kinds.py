"""Every kind of file gives all its pictures, upright, in their colours and at their times; broken ones what is left."""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from streamer.av_source import AvSource
from streamer.capture import Camera
from streamer.errors import CameraError
from streamer.secret import SecretUrl
from streamer.settings import CameraSettings
from streamer.source import SourceCounts, SourceInfo
from tests.rig.clips import CORNERS, Clip, chart, corners_of, cut, encode, number_in

START_SECONDS = 1_700_000_000.0
NUM_PICTURES = 12
TENTHS = [index / 10 for index in range(NUM_PICTURES)]


@dataclass(frozen=True)
class Read:
    """What came out of a file."""

    info: SourceInfo
    counts: SourceCounts
    seconds: list[float]
    pixels: list[NDArray[np.uint8]]

    @property
    def numbers(self) -> list[int | None]:
        return [number_in(each) for each in self.pixels]


def read(path: Path) -> Read:
    counts, seconds, pixels = SourceCounts(), [], []
    source = AvSource.open(
        SecretUrl.parse(str(path)),
        kind="file",
        speed=None,
        start_seconds=START_SECONDS,
        quit=threading.Event(),
        counts=counts,
        open_timeout_seconds=10,
        read_timeout_seconds=10,
    )
    with source:
        for picture in source:
            seconds.append(picture.time_seconds - START_SECONDS)
            pixels.append(picture.rgb())
    return Read(source.info, counts, seconds, pixels)


def make(path: Path, clip: Clip, *, num_pictures: int = NUM_PICTURES) -> Path:
    return encode(path, (chart(clip.width, clip.height, number) for number in range(num_pictures)), clip)


def about(seconds: Sequence[float]) -> list[object]:
    return [pytest.approx(each, abs=2e-3) for each in seconds]


def colors_are_off_by(pixels: NDArray[np.uint8], *, is_gray: bool = False) -> int:
    """The greatest difference of a channel in a corner."""
    found, off_by = corners_of(pixels), 0
    for name, color in CORNERS.items():
        expected = [round(0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2])] * 3 if is_gray else color
        off_by = max(off_by, *(abs(a - b) for a, b in zip(found[name], expected, strict=True)))
    return off_by


KINDS: dict[str, Clip] = {
    "h264.mp4": Clip(),
    "h264-10bit.mp4": Clip(pixel_format="yuv420p10le"),
    "h264-444.mp4": Clip(pixel_format="yuv444p", width=641, height=361),
    "h264-b-frames.ts": Clip(options={"bf": "2", "preset": "veryfast"}),
    "h264-b-frames.avi": Clip(options={"bf": "2", "preset": "veryfast"}),
    "h264-interlaced.mp4": Clip(options={"flags": "+ildct+ilme", "x264-params": "tff=1"}),
    "h264-709.mp4": Clip(colors=("ITU709", "MPEG")),
    "h264-601-full.mp4": Clip(colors=("ITU601", "JPEG")),
    "h264-2020-10bit.mp4": Clip(colors=("BT2020", "MPEG"), pixel_format="yuv420p10le"),
    "h264-hd-says-nothing.mp4": Clip(width=1280, height=720, colors=("ITU709", "MPEG"), is_tagged=False),
    "h265.mp4": Clip(codec="libx265"),
    "h265-10bit.mkv": Clip(codec="libx265", pixel_format="yuv420p10le"),
    "av1.mkv": Clip(codec="libsvtav1"),
    "av1-10bit.mp4": Clip(codec="libsvtav1", pixel_format="yuv420p10le"),
    "mjpeg.avi": Clip(codec="mjpeg", pixel_format="yuvj420p", width=641, height=361),
    "mjpeg-422.mkv": Clip(codec="mjpeg", pixel_format="yuvj422p"),
    "mpeg4.avi": Clip(codec="mpeg4", width=641, height=361),
    "alpha.mov": Clip(codec="png", pixel_format="rgba"),
    "palette.mov": Clip(codec="png", pixel_format="pal8"),
}


@pytest.mark.parametrize("name", KINDS)
def test_all_pictures_come_at_their_times_in_their_colours(tmp_path: Path, name: str) -> None:
    clip = KINDS[name]
    width, height = (640, 360) if clip.width > 640 else (clip.width, clip.height)

    done = read(make(tmp_path / name, clip))

    assert done.numbers == list(range(NUM_PICTURES))
    assert done.seconds == about(TENTHS)
    assert {pixels.shape for pixels in done.pixels} == {(height, width, 3)}
    assert colors_are_off_by(done.pixels[0]) <= 5
    assert (done.info.width, done.info.height) == (clip.width, clip.height)
    assert done.info.fps_announced == pytest.approx(10)
    assert (done.counts.num_corrupt, done.counts.num_late) == (0, 0)


@pytest.mark.parametrize(("codec", "pixel_format"), [("libx264", "gray"), ("ffv1", "gray16le")])
def test_a_grey_camera_is_grey(tmp_path: Path, codec: str, pixel_format: str) -> None:
    done = read(make(tmp_path / "gray.mkv", Clip(codec=codec, pixel_format=pixel_format)))

    assert done.numbers == list(range(NUM_PICTURES))
    assert np.ptp(done.pixels[0], axis=2).max() == 0
    if codec == "ffv1":  # the sample's own values; x264 counts them from 16
        assert colors_are_off_by(done.pixels[0], is_gray=True) <= 5


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_rotated_recording_is_upright(tmp_path: Path, rotation: int) -> None:
    width, height = (180, 320) if rotation != 180 else (320, 180)
    upright = chart(width, height, 5)
    lying = np.ascontiguousarray(np.rot90(upright, -rotation // 90))
    clip = encode(tmp_path / "phone.mp4", [lying] * 3, Clip(width=320, height=180, rotation=rotation))

    done = read(clip)

    assert done.numbers == [5, 5, 5]
    assert done.pixels[0].shape == upright.shape
    assert colors_are_off_by(done.pixels[0]) <= 5
    bgr = cv2.VideoCapture(str(clip)).read()[1]  # another program's opinion
    assert np.abs(done.pixels[0][..., ::-1].astype(int) - bgr).mean() < 3


def test_a_mirrored_recording_is_mirrored_back(tmp_path: Path) -> None:
    mirrored = np.ascontiguousarray(chart(320, 240, 3)[:, ::-1])

    done = read(encode(tmp_path / "mirror.mp4", [mirrored] * 2, Clip(is_mirrored=True)))

    assert done.numbers == [3, 3]
    assert colors_are_off_by(done.pixels[0]) <= 5


@pytest.mark.parametrize(
    ("size", "pixel_aspect", "shown"),
    [
        ((352, 288), Fraction(12, 11), (352, 264)),
        ((240, 240), Fraction(3, 4), (180, 240)),
        ((704, 240), 0.5, (352, 240)),
    ],
)
def test_pixels_that_are_not_square_are_made_so(
    tmp_path: Path, size: tuple[int, int], pixel_aspect: Fraction | float, shown: tuple[int, int]
) -> None:
    clip = Clip(width=size[0], height=size[1], pixel_aspect=Fraction(pixel_aspect))

    done = read(make(tmp_path / "anamorphic.ts", clip, num_pictures=3))

    assert done.pixels[0].shape == (shown[1], shown[0], 3)
    assert done.numbers == [0, 1, 2]


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_a_variable_frame_rate_keeps_its_times(tmp_path: Path, ending: str) -> None:
    times = [0, 0.1, 0.15, 0.5, 0.9, 2, 2.05, 2.1, 3, 3.5, 3.6, 5]

    done = read(make(tmp_path / f"uneven.{ending}", Clip(times=times)))

    assert done.numbers == list(range(NUM_PICTURES))
    assert done.seconds == about(times)


@pytest.mark.parametrize(
    ("name", "clip"),
    [
        ("raw.h264", Clip()),
        ("raw.hevc", Clip(codec="libx265")),
        ("raw.mjpeg", Clip(codec="mjpeg", pixel_format="yuvj420p")),
    ],
)
def test_a_stream_without_times_gets_even_ones(tmp_path: Path, name: str, clip: Clip) -> None:
    done = read(make(tmp_path / name, clip))

    assert done.numbers == list(range(NUM_PICTURES))
    assert done.info.fps_announced is not None
    assert done.seconds == about([index / done.info.fps_announced for index in range(NUM_PICTURES)])


@pytest.mark.parametrize(
    ("name", "clip", "at_least"),
    [
        ("index-first.mp4", Clip(container_options={"movflags": "faststart"}), 16),
        ("fragments.mp4", Clip(container_options={"movflags": "frag_keyframe+empty_moov"}), 16),
        ("broadcast.ts", Clip(), 18),
        ("matroska.mkv", Clip(), 17),
        ("old.avi", Clip(codec="mpeg4"), 8),
        ("h265.mp4", Clip(codec="libx265", container_options={"movflags": "faststart"}), 12),
    ],
)
def test_a_cut_off_recording_gives_what_is_left(tmp_path: Path, name: str, clip: Clip, at_least: int) -> None:
    clip = Clip(**{**_fields(clip), "options": {"g": "10"}})

    done = read(cut(make(tmp_path / name, clip, num_pictures=40), 0.5))

    assert at_least <= len(done.pixels) < 40
    assert done.numbers == list(range(len(done.pixels)))
    assert done.seconds == about([index / 10 for index in range(len(done.pixels))])


def test_a_recording_that_begins_in_the_middle_begins_at_a_key_frame(tmp_path: Path) -> None:
    data = make(tmp_path / "whole.ts", Clip(options={"g": "10"}), num_pictures=40).read_bytes()
    tail = tmp_path / "tail.ts"
    tail.write_bytes(data[len(data) // 3 // 188 * 188 :])

    done = read(tail)

    assert done.numbers == list(range(20, 40))
    assert done.seconds == about([index / 10 for index in range(20)])


def test_damaged_pictures_are_counted_and_the_rest_is_whole(tmp_path: Path) -> None:
    data = bytearray(make(tmp_path / "whole.ts", Clip(options={"g": "10"}), num_pictures=40).read_bytes())
    middle = len(data) // 2 // 188 * 188
    data[middle + 20 : middle + 120] = bytes(100)
    (tmp_path / "hurt.ts").write_bytes(data)

    done = read(tmp_path / "hurt.ts")

    assert len(done.pixels) + done.counts.num_corrupt >= 39
    assert len(done.pixels) >= 30
    assert [number for number in done.numbers if number is not None] == sorted(
        number for number in done.numbers if number is not None
    )


def test_a_recording_without_its_index_fails(tmp_path: Path) -> None:
    with pytest.raises(CameraError) as caught:
        read(cut(make(tmp_path / "index-last.mp4", Clip()), 0.5))

    assert caught.value.code == "codec"
    assert "\n" not in str(caught.value)


async def test_a_camera_takes_every_picture_of_a_rotated_recording(tmp_path: Path) -> None:
    path = make(tmp_path / "phone.mp4", Clip(width=640, height=360, rotation=90))
    settings = CameraSettings.model_validate(
        {"name": "phone", "url": str(path), "fps": 60, "start": START_SECONDS, "skip_still": False}
    )
    arrived, shapes, times = asyncio.Event(), set(), []

    async with asyncio.timeout(20), Camera(settings, arrived=arrived) as camera:
        while not camera.ended.is_set() or camera.has_frame:
            if (frame := camera.take_nowait()) is None:
                await arrived.wait()
                arrived.clear()
            else:
                shapes.add(frame.pixels.shape)
                times.append(frame.time_seconds - START_SECONDS)

    assert shapes == {(640, 360, 3)}
    assert times == about(TENTHS)


def _fields(clip: Clip) -> dict[str, object]:
    return {name: getattr(clip, name) for name in clip.__dataclass_fields__}
