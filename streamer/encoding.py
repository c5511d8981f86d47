"""Encoding: the pictures of one batch, of several cameras, to tokens and key pictures; one that fails fails alone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from encoders import VisionEncoder
from streamer.device import DeviceThread, Priority
from streamer.picture import encode_jpeg

__all__ = ["Encoded", "Encoding"]

log = logging.getLogger(__name__)

Pixels = NDArray[np.uint8]

_FAULTS = (RuntimeError, ValueError, MemoryError)  # torch's, ours, and that of a picture too large for this machine


@dataclass(frozen=True, slots=True)
class Encoded:
    """Tokens [N, W] and a JPEG."""

    tokens: Tensor
    picture: bytes

    def __repr__(self) -> str:
        return f"Encoded(tokens {list(self.tokens.shape)}, picture of {len(self.picture)} bytes)"


class Encoding:
    """Encodes on the device thread, and makes the key pictures beside it."""

    def __init__(self, *, device: DeviceThread, encoder: VisionEncoder) -> None:
        self._device = device
        self._encoder = encoder
        self._cameras_told: set[str] = set()

    async def run(self, pictures: list[Pixels], cameras: Sequence[str]) -> list[Encoded | None]:
        """Each picture's result; None for one that cannot be encoded. Empties `pictures`.

        cameras  whose picture each is; of each camera the first failure is told, in one line

        Raises: what the encoder raises where it cannot encode anything: that is no picture's fault.
        """
        encoded: list[Encoded | None]
        try:
            encoded = [*await self._together(pictures)]
        except _FAULTS:
            encoded = [await self._alone(*each) for each in zip(pictures, cameras, strict=True)]
        pictures.clear()
        return encoded

    async def _together(self, pictures: Sequence[Pixels]) -> list[Encoded]:
        tokens, jpegs = await asyncio.gather(
            self._device.run(Priority.ENCODE, lambda: self._encoder.encode(pictures)),
            asyncio.to_thread(lambda: [encode_jpeg(picture) for picture in pictures]),
        )
        return [Encoded(*each) for each in zip(tokens, jpegs, strict=True)]

    async def _alone(self, picture: Pixels, camera: str) -> Encoded | None:
        try:
            (encoded,) = await self._together([picture])
        except _FAULTS as error:
            await self._together([np.zeros((64, 64, 3), np.uint8)])
            self._tell(camera, picture, error)
            return None
        return encoded

    def _tell(self, camera: str, picture: Pixels, error: Exception) -> None:
        if camera in self._cameras_told:
            return
        self._cameras_told.add(camera)
        height, width = picture.shape[:2]
        why = f"{type(error).__name__}: {error}".splitlines()[0]
        what = f"a picture of {width}x{height} cannot be encoded ({why})"
        log.warning("camera %s: %s; it is left out, and so is each later one that cannot be", camera, what)
