"""AvPicture: one decoded picture of FFmpeg's, converted only when asked for; knows no container and no clock.

What a player does without being asked is done here too: pictures are turned upright, anamorphic pixels made square,
and colours read by the matrix and range that the stream names. All of it at the small size that is wanted.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import cast

import numpy as np
from av.sidedata.sidedata import SideData
from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from streamer import on_gpu

__all__ = ["MAX_WIDTH", "AvPicture", "Converter", "Turn"]

MAX_WIDTH = 640
_BT709, _UNSPECIFIED_COLORSPACE = 1, 2
_HD_HEIGHT = 720  # from here on, a stream that names no matrix means BT.709; below it, BT.601
_MAX_PIXEL_ASPECT = 4.0


@dataclass(frozen=True, slots=True)
class Turn:
    """How a picture is brought upright: swap rows and columns first, then mirror.

    One of the eight ways; a slanted matrix is taken as the nearest of them.
    """

    is_transposed: bool = False
    flips_columns: bool = False
    flips_rows: bool = False

    @classmethod
    def of(cls, frame: VideoFrame) -> "Turn":
        """By the frame's display matrix, [a b u; c d v; x y w]: a pixel at (x, y) is shown at (ax + cy, bx + dy).

        Not for every frame: PyAV ties a frame to its side data in a circle, so that it stays in memory for long.
        """
        every = cast("Iterable[SideData]", frame.side_data)  # PyAV's stubs say otherwise
        matrix = next((data for data in every if data.type is SideDataType.DISPLAYMATRIX), None)
        if matrix is None:
            return _UPRIGHT
        a, b, _, c, d, *_ = np.frombuffer(bytes(matrix), np.int32).tolist()
        if abs(b) + abs(c) > abs(a) + abs(d):
            return cls(is_transposed=True, flips_columns=c < 0, flips_rows=b < 0)
        return cls(flips_columns=a < 0, flips_rows=d < 0)

    def apply(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A view of uint8 [H, W, ...], upright."""
        if self.is_transposed:
            pixels = pixels.swapaxes(0, 1)
        return pixels[:: -1 if self.flips_rows else 1, :: -1 if self.flips_columns else 1]


_UPRIGHT = Turn()
_BY_QUARTERS = (
    _UPRIGHT,
    Turn(is_transposed=True, flips_rows=True),
    Turn(flips_columns=True, flips_rows=True),
    Turn(is_transposed=True, flips_columns=True),
)


@dataclass(slots=True)
class Converter:
    """What the pictures of one stream are converted with; one thread at a time.

    A reformatter keeps its tables while size and format stay, so grey pictures have their own.

    pixel_aspect  width of a pixel by its height, as the stream says
    """

    pixel_aspect: Fraction | float | None = None
    rgb: VideoReformatter = field(default_factory=VideoReformatter)
    gray: VideoReformatter = field(default_factory=VideoReformatter)
    _rotation: int = 0
    _turn: Turn = _UPRIGHT

    def turn_of(self, frame: VideoFrame) -> Turn:
        """Looked up anew only where the angle changes. What has no angle is upright: a flip alone is not seen."""
        rotation = frame.rotation
        if rotation != self._rotation:
            self._rotation = rotation
            try:
                self._turn = Turn.of(frame)
            except ValueError:  # it also carries something that this PyAV does not know
                self._turn = _BY_QUARTERS[round(rotation / 90) % 4]
        return self._turn


class AvPicture:
    """One decoded picture that is converted only when asked for."""

    __slots__ = ("_converter", "_frame", "pts_seconds", "time_seconds")

    def __init__(
        self, frame: VideoFrame, converter: Converter, *, time_seconds: float, pts_seconds: float | None
    ) -> None:
        self.time_seconds = time_seconds
        self.pts_seconds = pts_seconds
        self._frame = frame
        self._converter = converter

    @property
    def sent_size(self) -> tuple[int, int]:
        """(width, height) as the camera sends it."""
        return self._frame.width, self._frame.height

    @property
    def is_key_frame(self) -> bool:
        """True for a picture that needs no other one to be decoded."""
        return bool(self._frame.key_frame)

    def rgb(self) -> NDArray[np.uint8]:
        """uint8 [H, W, 3] RGB, upright, at most 640 wide, both sides even where they were made smaller."""
        return self._convert(MAX_WIDTH, is_gray=False)

    def gray(self, width: int) -> NDArray[np.uint8]:
        """uint8 [h, width] grey, upright; averages, so that noise is less; about 0.3 ms from 1080p.

        A picture that is narrower than `width` keeps its own width.
        """
        return self._convert(width, is_gray=True)

    def _convert(self, max_width: int, *, is_gray: bool) -> NDArray[np.uint8]:
        frame = self._frame
        turn = self._converter.turn_of(frame)
        width, height = _square(frame.width, frame.height, self._converter.pixel_aspect)
        if turn.is_transposed:
            width, height = height, width
        width, height = _fit(width, height, max_width, is_even=not is_gray)
        if turn.is_transposed:
            width, height = height, width
        small = self._on_gpu(width, height, is_gray=is_gray) if frame.format.name == "cuda" else None
        if small is None:
            small = self._on_cpu(width, height, is_gray=is_gray)
        return turn.apply(small).copy(order="C")

    def _on_gpu(self, width: int, height: int, *, is_gray: bool) -> NDArray[np.uint8] | None:
        frame = self._frame
        if is_gray:
            return on_gpu.small_gray(frame, width=width, height=height)
        matrix = frame.colorspace if _matrix(frame) is None else _BT709
        return on_gpu.small_rgb(frame, width=width, height=height, matrix=matrix)

    def _on_cpu(self, width: int, height: int, *, is_gray: bool) -> NDArray[np.uint8]:
        """A frame that is on the GPU is copied by PyAV first, whole."""
        frame = self._frame
        is_smaller = width < frame.width or height < frame.height
        reformatter = self._converter.gray if is_gray else self._converter.rgb
        small = reformatter.reformat(
            frame,
            width=width,
            height=height,
            format="gray" if is_gray else "rgb24",
            src_colorspace=_matrix(frame),
            interpolation=Interpolation.AREA if is_smaller else Interpolation.BILINEAR,
            threads=1,
        )
        return np.asarray(small.to_ndarray(), np.uint8)


def _matrix(frame: VideoFrame) -> Colorspace | None:
    """The matrix of a stream that names none; None: what the frame says."""
    is_hd = frame.height >= _HD_HEIGHT
    return Colorspace.ITU709 if is_hd and frame.colorspace == _UNSPECIFIED_COLORSPACE else None


def _square(width: int, height: int, pixel_aspect: Fraction | float | None) -> tuple[int, int]:
    """The size with square pixels; never larger. Nonsense is left alone."""
    aspect = float(pixel_aspect or 1.0)
    if not 1 / _MAX_PIXEL_ASPECT <= aspect <= _MAX_PIXEL_ASPECT:
        return width, height
    return (width, max(1, round(height / aspect))) if aspect > 1 else (max(1, round(width * aspect)), height)


def _fit(width: int, height: int, max_width: int, *, is_even: bool) -> tuple[int, int]:
    """At most `max_width` wide with the same aspect, and even sides where asked for; never larger."""
    if width <= max_width:
        return width, height
    high = height * max_width / width
    return max_width, max(2, 2 * round(high / 2)) if is_even else max(1, round(high))
