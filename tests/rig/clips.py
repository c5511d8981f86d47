"""Clips for tests and benchmarks, encoded on the spot by PyAV: a colour chart that counts; knows nothing of Longwatch.

The chart has a known colour in each quarter and, in a band across its middle, the picture's number as black and white
blocks, so that a decoded picture tells which one it is, which way up it is, and whether its colours are right.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import cv2
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

__all__ = ["CORNERS", "NUM_BITS", "Clip", "chart", "corners_of", "cut", "encode", "number_in", "stamp"]

CORNERS = {
    "top left": (200, 60, 50),
    "top right": (50, 180, 70),
    "bottom left": (40, 70, 190),
    "bottom right": (210, 210, 200),
}
os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 tells its life on standard error
NUM_BITS = 12
TIME_BASE = Fraction(1, 90_000)
_BAND = (0.44, 0.56)  # rows of the number, in shares of the height


def chart(width: int, height: int, number: int) -> NDArray[np.uint8]:
    """uint8 [height, width, 3] RGB."""
    quarters = np.array(list(CORNERS.values()), np.uint8).reshape(2, 2, 3)
    pixels = np.asarray(cv2.resize(quarters, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)
    stamp(pixels, number)
    return pixels


def stamp(pixels: NDArray[np.uint8], number: int) -> None:
    """Writes the number into the band, in place; the lowest bit is on the left, and the last bit is the parity."""
    height, width = pixels.shape[:2]
    top, bottom = (round(share * height) for share in _BAND)
    bits = [number >> bit & 1 for bit in range(NUM_BITS)]
    for position, bit in enumerate([*bits, sum(bits) & 1]):
        left, right = (round(edge * width / (NUM_BITS + 1)) for edge in (position, position + 1))
        pixels[top:bottom, left:right] = 240 if bit else 15


def number_in(pixels: NDArray[np.uint8]) -> int | None:
    """The number in the band of uint8 [H, W, 3]; None where it cannot be read."""
    height, width = pixels.shape[:2]
    row = pixels[height // 2 - max(1, height // 40) : height // 2 + max(1, height // 40)].mean(axis=(0, 2))
    centers = [(position + 0.5) * width / (NUM_BITS + 1) for position in range(NUM_BITS + 1)]
    levels = [float(row[int(center)]) for center in centers]
    if any(90 < level < 160 for level in levels):
        return None
    *bits, parity = [int(level > 128) for level in levels]
    return sum(bit << position for position, bit in enumerate(bits)) if sum(bits) & 1 == parity else None


def corners_of(pixels: NDArray[np.uint8]) -> dict[str, tuple[int, ...]]:
    """The mean colour in the middle of each quarter's outer part, as in CORNERS."""
    height, width = pixels.shape[:2]
    found = {}
    for name in CORNERS:
        y = 0.2 if name.startswith("top") else 0.8
        x = 0.25 if name.endswith("left") else 0.75
        rows = slice(int((y - 0.05) * height), int((y + 0.05) * height) + 1)
        columns = slice(int((x - 0.05) * width), int((x + 0.05) * width) + 1)
        found[name] = tuple(round(value) for value in pixels[rows, columns].mean(axis=(0, 1)).tolist())
    return found


@dataclass(frozen=True, slots=True)
class Clip:
    """How a clip is encoded.

    times         pts of each picture in seconds; None: one per 1/fps
    colors        (matrix, range) as PyAV names them, e.g. ("ITU709", "MPEG"): converted so
    is_tagged     whether the stream says so
    rotation      counterclockwise degrees of the display matrix, 0, 90, 180 or 270
    """

    codec: str = "libx264"
    pixel_format: str = "yuv420p"
    width: int = 320
    height: int = 240
    fps: int = 10
    options: dict[str, str] = field(default_factory=dict)
    times: Sequence[float] | None = None
    colors: tuple[str, str] | None = None
    is_tagged: bool = True
    rotation: int = 0
    is_mirrored: bool = False
    pixel_aspect: Fraction | None = None
    container_options: dict[str, str] = field(default_factory=dict)
    container_format: str | None = None


_QUICK: dict[str, dict[str, str]] = {
    "libx264": {"preset": "ultrafast", "crf": "18", "bf": "0"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none:crf=18:pools=1:frame-threads=1"},
    "libsvtav1": {"preset": "12", "crf": "25", "svtav1-params": "lp=1"},
    "mjpeg": {"q": "2"},
    "mpeg4": {"qscale": "2"},
}


def encode(path: Path, pictures: Iterable[NDArray[np.uint8]], clip: Clip) -> Path:
    """Writes a clip; the container goes by the file's ending. Returns the path."""
    with (
        _ordinary_scheduling(),
        av.open(str(path), "w", format=clip.container_format, container_options=clip.container_options) as container,
    ):
        stream = container.add_stream(clip.codec, rate=clip.fps, options={**_QUICK.get(clip.codec, {}), **clip.options})
        assert isinstance(stream, VideoStream)
        _describe(stream, clip)
        for index, pixels in enumerate(pictures):
            frame = _frame(pixels, clip)
            seconds = clip.times[index] if clip.times is not None else index / clip.fps
            time_base = stream.codec_context.time_base or TIME_BASE
            frame.pts, frame.time_base = round(seconds / time_base), time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@contextlib.contextmanager
def _ordinary_scheduling() -> Iterator[None]:
    """Takes back what SVT-AV1 does where it may, as root.

    It leaves the calling thread, and so every thread and process that this one starts later, at the highest real-time
    priority.
    """
    policy, parameter = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        if os.sched_getscheduler(0) != policy:
            os.sched_setscheduler(0, policy, parameter)


def _describe(stream: VideoStream, clip: Clip) -> None:
    stream.width, stream.height, stream.pix_fmt = clip.width, clip.height, clip.pixel_format
    context: Any = stream.codec_context
    context.time_base = TIME_BASE if clip.times is not None else Fraction(1, clip.fps)  # some encoders announce it
    if clip.colors is not None and clip.is_tagged:
        matrix, color_range = clip.colors
        context.colorspace = {"ITU709": 1, "ITU601": 6, "BT2020": 9}[matrix]
        context.color_range = {"MPEG": 1, "JPEG": 2}[color_range]
    if clip.pixel_aspect is not None:
        context.sample_aspect_ratio = clip.pixel_aspect
    if clip.rotation or clip.is_mirrored:
        stream.set_display_rotation(clip.rotation, hflip=clip.is_mirrored)


def _frame(pixels: NDArray[np.uint8], clip: Clip) -> av.VideoFrame:
    if clip.pixel_format == "pal8":
        return _with_palette(pixels)
    frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
    if clip.pixel_format == "rgb24":
        return frame
    matrix, color_range = clip.colors or ("ITU601", "JPEG" if clip.pixel_format.startswith("yuvj") else "MPEG")
    return frame.reformat(
        format=clip.pixel_format,
        dst_colorspace=matrix,
        src_color_range="JPEG",
        dst_color_range=color_range,
        interpolation="BICUBIC",
    )


def _with_palette(pixels: NDArray[np.uint8]) -> av.VideoFrame:
    """At most 256 colours: those of the chart."""
    colors, indices = np.unique(pixels.astype(np.uint32) @ [65536, 256, 1], return_inverse=True)
    palette = np.zeros((256, 4), np.uint8)
    palette[: len(colors)] = [(255, color >> 16, color >> 8 & 255, color & 255) for color in colors.tolist()]
    both: Any = (indices.reshape(pixels.shape[:2]).astype(np.uint8), palette)
    return av.VideoFrame.from_ndarray(both, format="pal8")


def cut(path: Path, share: float) -> Path:
    """A copy that ends in the middle: the first `share` of its bytes."""
    data = path.read_bytes()
    shorter = path.with_name(f"cut-{path.name}")
    shorter.write_bytes(data[: int(len(data) * share)])
    return shorter
