"""Opening a camera or a file through PyAV (FFmpeg): transport, hardware, which stream; reads no packet."""

import time
from typing import NamedTuple

import av
import av.error
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.video.stream import VideoStream

from streamer.av_errors import check_path, from_ffmpeg, is_wrong_transport
from streamer.av_options import Kind, options_of, refused_formats
from streamer.errors import CameraError
from streamer.secret import SecretUrl
from streamer.settings import Transport
from streamer.source import SourceCounts

__all__ = ["HardwareError", "Opened", "is_finite", "open_container", "try_other_transport_next", "video_stream"]


_PLACE_IS_FREE_AFTER_SECONDS = 0.5


class HardwareError(Exception):
    """The device that shall decode cannot be used now, though it could when it was looked for."""


class Opened(NamedTuple):
    """An open container, and the RTSP transport that the camera accepted; it may still send nothing."""

    container: InputContainer
    transport: str | None


def _transports_of(kind: Kind, transport: Transport, counts: SourceCounts) -> list[str | None]:
    """What to try, in order."""
    if kind != "rtsp":
        return [None]
    if transport != "auto":
        return [transport]
    return ["udp", "tcp"] if counts.transport == "udp" else ["tcp", "udp"]


def try_other_transport_next(used: str | None, counts: SourceCounts, error: CameraError) -> None:
    """After a try without a picture: a camera may accept a transport, and then send nothing over it."""
    if used is not None and error.code in ("timeout", "codec"):
        counts.transport = "tcp" if used == "udp" else "udp"


def open_container(
    url: SecretUrl,
    kind: Kind,
    transport: Transport,
    *,
    counts: SourceCounts,
    timeout: tuple[float, float],
    hardware: HWAccel | None,
    verify_tls: bool,
) -> Opened:
    """Tries TCP and UDP where the transport is "auto". Blocks for at most about twice the open time-out each.

    A camera that refused the first may still hold its place for a moment, and say that it cannot serve: the second is
    tried once more then.

    Raises: CameraError; HardwareError.
    """
    address = url.reveal() if url.scheme else f"file:{check_path(url)}"
    if kind == "device":
        address = address.removeprefix("file:")
    transports = _transports_of(kind, transport, counts)
    tries = [*transports, transports[-1]] if len(transports) > 1 else transports
    for number, tried in enumerate(tries, start=1):
        started = time.monotonic()
        try:
            container = av.open(
                address,
                format="v4l2" if kind == "device" else None,
                options=options_of(kind, url, transport=tried or "tcp", verify_tls=verify_tls),
                timeout=timeout,
                hwaccel=hardware,
            )
        except av.error.FFmpegError as error:
            if hardware is not None and error.filename is None:  # PyAV names the address where that is at fault
                raise HardwareError(error.strerror) from None
            why = from_ffmpeg(
                error,
                url,
                while_opening=True,
                waited_seconds=time.monotonic() - started,
                timeout_seconds=timeout[0],
            )
            if is_wrong_transport(error) and number < len(transports):
                continue
            if isinstance(error, av.error.HTTPServerError) and number < len(tries):
                time.sleep(_PLACE_IS_FREE_AFTER_SECONDS)
                continue
        else:
            return Opened(container, tried)
        try_other_transport_next(tried, counts, why)
        raise why  # here, where FFmpeg's own error, with the password in its text, is not its context
    raise AssertionError("unreachable")


def is_finite(container: InputContainer) -> bool:
    """True for a recording on a web server. Some cameras announce a length for an endless row of JPEGs."""
    is_a_file = container.size > 0 and not container.format.name.endswith(("mpjpeg", "mjpeg", "jpeg_pipe"))
    return container.duration is not None or is_a_file


def video_stream(container: InputContainer, url: SecretUrl) -> VideoStream:
    """Raises: CameraError("codec") where it holds none."""
    if not url.scheme and not refused_formats.isdisjoint(container.format.name.split(",")):
        raise CameraError("codec", f"{url} is not a video; check that it plays in a video player")
    if not container.streams.video:
        raise CameraError(
            "codec", f"{url} has no video in it, only {_kinds(container)}; name the camera's video stream"
        )
    return container.streams.video[0]


def _kinds(container: InputContainer) -> str:
    return ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
