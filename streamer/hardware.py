"""Which hardware decodes here: looked up once per process, and only where a device file says that there is one."""

import functools
import logging
import sys
from pathlib import Path

import av.error
from av.codec.context import CodecContext
from av.codec.hwaccel import HWAccel, hwdevices_available

from streamer.on_gpu import owning_decoder
from streamer.settings import Decode

__all__ = ["accelerator", "works_here"]

log = logging.getLogger(__name__)

_DEVICE_FILES = {
    "cuda": ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg"),
    "vaapi": ("/dev/dri/renderD128",),
    "qsv": ("/dev/dri/renderD128",),
}


def accelerator(decode: Decode) -> tuple[str, HWAccel] | None:
    """The device's name and what to give to `av.open`; None: decode on the CPU.

    "auto" takes the first that works. "cuda" leaves pictures on the GPU where torch can make them small there. What was
    asked for by name and does not work is told once, in one line. Blocks for up to a second, the first time in a
    process; called in the thread that opens the camera.
    """
    wanted = ("cuda", "videotoolbox", "vaapi", "qsv") if decode == "auto" else (decode,)
    for device in wanted:
        if device != "cpu" and works_here(device):
            if decode == "cuda" and (hardware := owning_decoder()) is not None:
                return device, hardware
            return device, HWAccel(device_type=device, allow_software_fallback=True)
    if decode not in ("auto", "cpu"):
        _tell_once(decode)
    return None


@functools.cache
def works_here(device: str) -> bool:
    """True if a decoder can be made on this device now. PyAV lists devices that a machine does not have."""
    if device not in hwdevices_available():
        return False
    files = _DEVICE_FILES.get(device)
    if files is not None and not any(Path(file).exists() for file in files):
        return False
    if device == "videotoolbox" and sys.platform != "darwin":
        return False
    try:
        hardware = HWAccel(device_type=device, allow_software_fallback=False)
        is_there = CodecContext.create("h264", "r", hardware).is_hwaccel
    except (av.error.FFmpegError, OSError, RuntimeError, ValueError) as error:
        log.debug("hardware decoding on %s does not work: %s", device, error)
        return False
    if is_there:
        log.info("cameras decode on %s where it knows their codec", device)
    return is_there


@functools.cache
def _tell_once(device: str) -> None:
    log.warning("decode: %s does not work on this machine; decoding on the CPU", device)
