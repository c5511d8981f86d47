"""AvSource: a camera or file read through PyAV (FFmpeg), in one thread; knows no event loop and no reconnecting."""

import contextlib
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Literal, Self

import av
import av.error
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from streamer.av_errors import check_path, from_ffmpeg
from streamer.av_picture import AvPicture
from streamer.clock import LiveClock, PacedClock, wall_seconds
from streamer.decoding import PacketDecoder
from streamer.errors import CameraError
from streamer.secret import SecretUrl
from streamer.source import SourceCounts, SourceInfo

__all__ = ["AvSource"]

_LIVE_DECODER_THREADS = 2
_USUAL_FPS = 25.0
_TEXT_ART_FORMATS = {"tty", "bin", "xbin", "idf", "adf"}  # FFmpeg draws any text file as a picture of text
_LOW_PROBE = {"probesize": "32768", "analyzeduration": "500000"}
_OPTIONS = {  # the whitelist keeps a playlist from naming other protocols
    "rtsp": {"rtsp_transport": "tcp", "protocol_whitelist": "rtp,rtsp,srtp,tcp,tls,udp,crypto", **_LOW_PROBE},
    "http": {"protocol_whitelist": "http,https,httpproxy,tcp,tls,crypto"},
    "file": {"protocol_whitelist": "file"},
    "device": {"protocol_whitelist": "file"},
}

Kind = Literal["rtsp", "http", "file", "device"]


class AvSource:
    """An open container. One thread opens, iterates and closes it.

    A live source that ends has lost its stream: FFmpeg gives no error when an RTSP server dies.
    """

    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        url: SecretUrl,
        *,
        live: bool,
        speed: float | None,
        start_seconds: float,
        quit: threading.Event,
        counts: SourceCounts,
        read_timeout_seconds: float,
    ) -> None:
        self.live = live
        rate = stream.average_rate or stream.guessed_rate
        codec = stream.codec_context
        self.info = SourceInfo(codec.name, codec.width, codec.height, float(rate) if rate else None)
        self._container = container
        self._stream = stream
        self._url = url
        self._speed = speed
        self._start_seconds = start_seconds
        self._quit = quit
        self._counts = counts
        self._read_timeout_seconds = read_timeout_seconds
        self._live_clock = LiveClock(trusts_pts=url.scheme in ("rtsp", "rtsps"))
        self._reformatter = VideoReformatter()

    @classmethod
    def open(
        cls,
        url: SecretUrl,
        *,
        kind: Kind,
        speed: float | None,
        start_seconds: float,
        quit: threading.Event,
        counts: SourceCounts | None = None,
        open_timeout_seconds: float,
        read_timeout_seconds: float,
    ) -> Self:
        """Connects and reads the stream's head.

        Raises: CameraError.
        """
        live = kind != "file"
        address = url.reveal() if url.scheme else f"file:{check_path(url.location)}"
        if kind == "device":
            address = address.removeprefix("file:")
        started = time.monotonic()
        try:
            container = av.open(
                address,
                format="v4l2" if kind == "device" else None,
                options=_OPTIONS[kind],
                timeout=(open_timeout_seconds, read_timeout_seconds),
            )
        except av.error.FFmpegError as error:
            waited_seconds = time.monotonic() - started
            raise from_ffmpeg(
                error, url, while_opening=True, waited_seconds=waited_seconds, timeout_seconds=open_timeout_seconds
            ) from None  # its text holds the password
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(container.close)
            stream = _video_stream(container, url)
            stream.thread_type = "SLICE" if live else "AUTO"
            if live:
                stream.codec_context.thread_count = _LIVE_DECODER_THREADS
            if kind == "http" and container.duration is not None:  # a finite recording: play it as a camera would
                speed = 1.0
            source = cls(
                container,
                stream,
                url,
                live=live,
                speed=speed,
                start_seconds=start_seconds,
                quit=quit,
                counts=counts or SourceCounts(),
                read_timeout_seconds=read_timeout_seconds,
            )
            on_failure.pop_all()
            return source
        raise AssertionError("unreachable")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._container.close()

    def __iter__(self) -> Iterator[AvPicture]:
        timed = self._live_pictures() if self.live else self._paced_pictures()
        for frame, time_seconds, pts_seconds in timed:
            yield AvPicture(frame, self._reformatter, time_seconds=time_seconds, pts_seconds=pts_seconds)

    def _live_pictures(self) -> Iterator[tuple[VideoFrame, float, float | None]]:
        for frame, pts_seconds in self._paced(self._frames()):
            time_seconds = self._live_clock.time_of(arrival_seconds=wall_seconds(), pts_seconds=pts_seconds)
            if time_seconds is None:
                self._counts.num_late += 1
                continue
            yield frame, time_seconds, pts_seconds
        if not self._quit.is_set():
            raise CameraError("lost", f"{self._url} ended its stream; the camera may be restarting, or was unplugged")

    def _paced_pictures(self) -> Iterator[tuple[VideoFrame, float, float | None]]:
        clock = PacedClock(self._start_seconds, step_seconds=1.0 / (self.info.fps_announced or _USUAL_FPS))
        for frame, pts_seconds in self._paced(self._frames()):
            yield frame, clock.time_of(pts_seconds=pts_seconds), pts_seconds

    def _paced(self, frames: Iterator[tuple[VideoFrame, float | None]]) -> Iterator[tuple[VideoFrame, float | None]]:
        """Holds frames back to the speed ceiling, if there is one."""
        started: float | None = None
        for frame, pts_seconds in frames:
            if self._speed is not None and pts_seconds is not None:
                now = time.monotonic()
                if started is None:
                    started = now - pts_seconds / self._speed
                if self._quit.wait(max(0.0, started + pts_seconds / self._speed - now)):
                    return
            yield frame, pts_seconds

    def _frames(self) -> Iterator[tuple[VideoFrame, float | None]]:
        """Decoded frames and their time stamps."""
        waiting_since = time.monotonic()
        decoder = PacketDecoder(self._url, counts=self._counts)
        try:
            for packet in self._container.demux(self._stream):
                if self._quit.is_set():
                    return
                for frame in decoder.decode(packet):
                    yield frame, None if frame.pts is None else frame.time
                waiting_since = time.monotonic()
        except av.error.FFmpegError as error:
            waited_seconds = time.monotonic() - waiting_since
            raise from_ffmpeg(
                error,
                self._url,
                while_opening=False,
                waited_seconds=waited_seconds,
                timeout_seconds=self._read_timeout_seconds,
            ) from None


def _video_stream(container: InputContainer, url: SecretUrl) -> VideoStream:
    if container.format.name in _TEXT_ART_FORMATS:
        raise CameraError("codec", f"{url} is not a video; check that it plays in a video player")
    if not container.streams.video:
        raise CameraError(
            "codec", f"{url} has no video in it, only {_kinds(container)}; name the camera's video stream"
        )
    return container.streams.video[0]


def _kinds(container: InputContainer) -> str:
    return ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
