"""Pictures that stay on the GPU that decoded them: made small there by torch; only the small one is copied to the host.

For `decode: cuda`, where torch has CUDA: the decoder works in torch's own CUDA context and gives its planes by DLPack.
The small picture (at most 640 wide) comes to the host, since masks, the JPEG and the handoff want it there, and goes
back with the encoder's batch; a picture that is not sampled is never copied. Without it every decoded picture is copied
whole. Written without a GPU at hand: the arithmetic is tested on the CPU, the way through CUDA by tests that need one,
and neither gain nor cost was measured. `decode: auto` does not use it before they were.
"""

import functools
import logging
import sys
from typing import TYPE_CHECKING, cast

import av.error
import numpy as np
from av.codec.context import CodecContext
from av.codec.hwaccel import HWAccel
from av.video.frame import VideoFrame
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["owning_decoder", "planes_of", "small_gray", "small_rgb"]

log = logging.getLogger(__name__)

_FULL_RANGE = 2  # AVCOL_RANGE_JPEG
_FAULTS = (av.error.FFmpegError, BufferError, NotImplementedError, OSError, RuntimeError, TypeError, ValueError)


def owning_decoder() -> HWAccel | None:
    """What to give to `av.open`, in this same thread, so that pictures stay; None: they have to be copied.

    Nobody loads torch for its sake: a process that only reads a camera has none, and copies.
    """
    if "torch" not in sys.modules:
        return None
    import torch

    if not torch.cuda.is_available():
        _tell_once("this torch has no CUDA")
        return None
    try:
        torch.zeros(1, device="cuda")  # makes torch's context this thread's
        device = str(torch.cuda.current_device())
        CodecContext.create("h264", "r", _hardware(device, allow_software_fallback=False))
        return _hardware(device, allow_software_fallback=True)
    except _FAULTS as error:
        _tell_once(f"{type(error).__name__}: {error}")
        return None


def _hardware(device: str, *, allow_software_fallback: bool) -> HWAccel:
    """In the current context: FFmpeg refuses a primary one that torch has set up, and memory of others is not ours."""
    return HWAccel(
        "cuda",
        device=device,
        allow_software_fallback=allow_software_fallback,
        options={"primary_ctx": "0", "current_ctx": "1"},
        is_hw_owned=True,
    )


def small_rgb(frame: VideoFrame, *, width: int, height: int, matrix: int) -> NDArray[np.uint8] | None:
    """uint8 [height, width, 3]; None where it has to be made on the CPU, which is told once.

    matrix  FFmpeg's number of the colour space
    """
    from streamer.nv12 import rgb_of

    try:
        luma, chroma = planes_of(frame)
        is_full = frame.color_range == _FULL_RANGE
        return _on_host(rgb_of(luma, chroma, width=width, height=height, matrix=matrix, is_full_range=is_full))
    except _FAULTS as error:
        _tell_once(f"{type(error).__name__}: {error}")
        return None


def small_gray(frame: VideoFrame, *, width: int, height: int) -> NDArray[np.uint8] | None:
    """uint8 [height, width]; None as `small_rgb`."""
    from streamer.nv12 import gray_of

    try:
        luma, _ = planes_of(frame)
        return _on_host(gray_of(luma, width=width, height=height, is_full_range=frame.color_range == _FULL_RANGE))
    except _FAULTS as error:
        _tell_once(f"{type(error).__name__}: {error}")
        return None


def planes_of(frame: VideoFrame) -> "tuple[Tensor, Tensor]":
    """Luma [H, W] and chroma [H // 2, W // 2, 2], uint8 or uint16, where the frame is; nothing is copied.

    The capsules are asked for here, since torch would name its stream, which PyAV refuses. FFmpeg and torch both work
    on the context's default stream, so the planes are whole when torch reads them.

    Raises: what PyAV and torch raise; ValueError for planes of another format.
    """
    from torch.utils.dlpack import from_dlpack

    luma, *others = (from_dlpack(plane.__dlpack__()) for plane in frame.planes)
    if luma.ndim != 2 or [other.shape[2:] for other in others] != [(2,)]:
        shapes = [list(plane.shape) for plane in (luma, *others)]
        raise ValueError(f"planes must be luma and interleaved chroma, got {shapes}")
    return luma, others[0]


def _on_host(pixels: "Tensor") -> NDArray[np.uint8]:
    """Waits until it is made, so that the decoder may have its planes back."""
    return cast(NDArray[np.uint8], pixels.cpu().numpy())


@functools.cache
def _tell_once(why: str) -> None:
    log.warning("decode: cuda: pictures are copied from the GPU whole (%s)", why)
