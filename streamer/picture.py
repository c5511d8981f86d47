"""A frame's key picture: a JPEG that fits its place in memory; it knows no memory and no camera."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

MAX_WIDTH = 640
MAX_BYTES = 64 * 1024
_MAX_HEIGHT = 16 * MAX_WIDTH  # JPEG ends at 65,500
_QUALITIES = (80, 60, 40, 20)


def encode_jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """uint8 [H, W, 3] RGB -> a JPEG at most 640 wide and 64 KiB long, of the best quality that fits.

    What fits in no quality, a very tall one, is made smaller until it does.
    Raises: ValueError for a picture without pixels.
    """
    height, width = pixels.shape[:2]
    if not pixels.size:
        raise ValueError(f"a key picture has pixels, got {width}x{height}")
    scale = min(1.0, MAX_WIDTH / width, _MAX_HEIGHT / height)
    while True:
        jpeg = _fitting(_scaled(pixels, scale))
        if jpeg:
            return jpeg
        scale /= 2


def decode_jpeg(jpeg: bytes) -> NDArray[np.uint8] | None:
    """-> uint8 [H, W, 3] RGB; None where it is none, or damaged."""
    bgr = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) if jpeg else None
    return None if bgr is None else np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def _scaled(pixels: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    if scale == 1.0:
        return pixels
    height, width = (max(1, round(side * scale)) for side in pixels.shape[:2])
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _fitting(pixels: NDArray[np.uint8]) -> bytes:
    """b"" where it fits in no quality."""
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    for quality in _QUALITIES:
        done, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if not done:
            raise ValueError(f"OpenCV makes no JPEG of a picture of {pixels.shape[1]}x{pixels.shape[0]}")
        if jpeg.size <= MAX_BYTES:
            return jpeg.tobytes()
    return b""
