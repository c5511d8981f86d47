"""A frame's key picture: a JPEG that fits its place in memory; it knows no memory and no camera."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

MAX_WIDTH = 640
MAX_BYTES = 64 * 1024
_QUALITIES = (80, 60, 40, 20)


def encode_jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """uint8 [H, W, 3] RGB -> a JPEG at most 640 wide and 64 KiB long, of the best quality that fits; b"" if none."""
    height, width = pixels.shape[:2]
    if width > MAX_WIDTH:
        size = (MAX_WIDTH, max(1, round(height * MAX_WIDTH / width)))
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    for quality in _QUALITIES:
        done, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if done and jpeg.size <= MAX_BYTES:
            return jpeg.tobytes()
    return b""
