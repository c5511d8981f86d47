"""AvSource: a camera or file read through PyAV (FFmpeg), in one thread; knows no event loop and no reconnecting."""

import contextlib
import errno
import functools
import logging
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self, cast

import av.error
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from streamer.av_errors import from_ffmpeg
from streamer.av_open import HardwareError, is_finite, open_container, try_other_transport_next, video_stream
from streamer.av_options import Kind, is_playlist
from streamer.av_picture import AvPicture, Converter
from streamer.clock import LiveClock, PacedClock, wall_seconds_when
from streamer.decoding import DAMAGE_ADVICE, PacketDecoder
from streamer.errors import CameraError
from streamer.hardware import accelerator
from streamer.kept_packets import MAX_KEPT_SECONDS
from streamer.secret import SecretUrl
from streamer.settings import Decode, Transport
from streamer.source import SourceCounts, SourceInfo, pause
from streamer.stamps import Stamps

__all__ = ["AvSource"]

log = logging.getLogger(__name__)

_LIVE_DECODER_THREADS = 2
_USUAL_FPS = 25.0
_MAX_FPS = 240  # beyond it is FFmpeg's time base, not a rate
_PLAYLIST_PATIENCE = 1.8  # segments come seconds apart
_FIRST_PICTURE_SECONDS = 60.0  # key frames may be far apart
STALL_SECONDS = 20.0
_MAX_PLAYLIST_PAUSE_SECONDS = 15.0


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
        transport: str | None,
        device: str | None,
        speed: float | None,
        start_seconds: float,
        quit: threading.Event,
        counts: SourceCounts,
        read_timeout_seconds: float,
    ) -> None:
        self.live = live
        self.key_frames_only = False
        rate = stream.average_rate or stream.guessed_rate
        codec = stream.codec_context
        self.info = SourceInfo(
            codec.name,
            codec.width,
            codec.height,
            float(rate) if rate and rate <= _MAX_FPS else None,
            decoder=f"{codec.name} on {device}" if codec.is_hwaccel else codec.name,
            transport=transport,
        )
        self._container = container
        self._stream = stream
        self._url = url
        self._is_recording = not live or is_finite(container)
        self._comes_in_pieces = live and container.format.name == "hls"
        self._speed = 1.0 if live and (self._is_recording or self._comes_in_pieces) else speed
        self._start_seconds = start_seconds
        self._quit = quit
        self._counts = counts
        self._read_timeout_seconds = read_timeout_seconds
        trusts_pts = url.scheme in ("rtsp", "rtsps") or (container.format.name == "mpegts" and self._speed is None)
        self._live_clock = LiveClock(trusts_pts=trusts_pts)
        self._decoder = PacketDecoder(url, counts=counts)
        self._stamps = Stamps(has_pts=container.format.name != "avi")
        self._waited_seconds = 0.0
        self._has_picture = False
        self._is_decoding = False
        self._converter = Converter(pixel_aspect=stream.sample_aspect_ratio)

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
        transport: Transport = "auto",
        decode: Decode = "auto",
        verify_tls: bool = False,
    ) -> Self:
        """Connects and reads the stream's head. RTSP "auto": what worked last, or TCP; if that is refused, the other.

        A device that cannot decode now is done without, from then on.

        Raises: CameraError.
        """
        counts = counts or SourceCounts()
        live = kind != "file"
        if kind == "http" and is_playlist(url):
            read_timeout_seconds *= _PLAYLIST_PATIENCE
        hardware = accelerator(decode) if live and not counts.hardware_failed else None
        connect = functools.partial(
            open_container,
            url,
            kind,
            transport,
            counts=counts,
            timeout=(open_timeout_seconds, read_timeout_seconds),
            verify_tls=verify_tls,
        )
        try:
            container, used = connect(hardware=hardware[1] if hardware else None)
        except HardwareError as error:
            assert hardware is not None
            container, used = connect(hardware=None)
            log.warning("%s cannot be decoded on %s (%s); the CPU decodes from now on", url, hardware[0], error)
            counts.hardware_failed, hardware = True, None
        counts.count_alive()
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(container.close)
            stream = video_stream(container, url)
            stream.thread_type = "SLICE" if live else "AUTO"
            if live:
                stream.codec_context.thread_count = _LIVE_DECODER_THREADS
            source = cls(
                container,
                stream,
                url,
                live=live,
                transport=used,
                device=hardware[0] if hardware else None,
                speed=speed,
                start_seconds=start_seconds,
                quit=quit,
                counts=counts,
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
            yield AvPicture(frame, self._converter, time_seconds=time_seconds, pts_seconds=pts_seconds)

    def _live_pictures(self) -> Iterator[tuple[VideoFrame, float, float | None]]:
        for frame, pts_seconds in self._paced(self._judged_frames()):
            now_seconds = time.monotonic()
            if self._decoder.is_catching_up:
                shown_seconds = self._live_clock.past_time_of(arrival_seconds=now_seconds, pts_seconds=pts_seconds)
            else:
                shown_seconds = self._live_clock.time_of(
                    arrival_seconds=now_seconds,
                    pts_seconds=pts_seconds,
                    waited_seconds=self._waited_seconds if self._speed is None else None,
                )
            if shown_seconds is None:
                self._counts.num_late += 1
                continue
            yield frame, wall_seconds_when(shown_seconds), pts_seconds
        if self._quit.is_set():
            return
        if self._is_recording:
            raise CameraError("ended", f"{self._url} is a recording, and is over; it is played again")
        raise CameraError("lost", f"{self._url} ended its stream; the camera may be restarting, or was unplugged")

    def _paced_pictures(self) -> Iterator[tuple[VideoFrame, float, float | None]]:
        clock = PacedClock(self._start_seconds, step_seconds=1.0 / (self.info.fps_announced or _USUAL_FPS))
        for frame, pts_seconds in self._paced(self._judged_frames()):
            yield frame, clock.time_of(pts_seconds=pts_seconds), pts_seconds

    def _paced(self, frames: Iterator[tuple[VideoFrame, float | None]]) -> Iterator[tuple[VideoFrame, float | None]]:
        """Holds frames back to the speed ceiling, if there is one. A live playlist that falls behind is tied anew."""
        started: float | None = None
        for frame, pts_seconds in frames:
            if self._speed is not None and pts_seconds is not None:
                now = time.monotonic()
                due = now if started is None else started + pts_seconds / self._speed
                is_off = self._comes_in_pieces and not now <= due <= now + _MAX_PLAYLIST_PAUSE_SECONDS
                if started is None or is_off:
                    started, due = now - pts_seconds / self._speed, now
                if pause(self._quit, max(0.0, due - now), self._counts):
                    return
            yield frame, pts_seconds

    def _judged_frames(self) -> Iterator[tuple[VideoFrame, float | None]]:
        """What `_frames` gives. Learns from a connection with or without a picture which transport and decoder work.

        A stream that breaks off, falls silent or is left before its first picture says nothing about the decoder.
        """
        counts, packets_before = self._counts, self._counts.num_packets
        try:
            for frame in self._frames():
                if not self._has_picture:
                    self._has_picture = True
                    counts.transport = self.info.transport
                yield frame
        except CameraError as error:
            if not self._has_picture:
                try_other_transport_next(self.info.transport, counts, error)
                if self._is_decoding:
                    self._give_up_hardware()
            raise
        is_over = self._is_recording and not self._quit.is_set()
        if is_over and not self._has_picture and counts.num_packets > packets_before:
            self._give_up_hardware()

    def _give_up_hardware(self) -> None:
        if self.info.decoder != self.info.codec:
            log.warning("%s gave no picture decoded as %s; the CPU is tried next", self._url, self.info.decoder)
            self._counts.hardware_failed = True

    def _frames(self) -> Iterator[tuple[VideoFrame, float | None]]:
        """Decoded frames and their time stamps.

        Raises: CameraError, also where packets come, but no good picture.
        """
        waiting_since = picture_seconds = time.monotonic()
        why: CameraError | None = None
        try:
            for packet in self._video_packets():
                self._decoder.key_frames_only = self.live and self.key_frames_only
                self._counts.decodes_key_frames_only = self._decoder.is_skipping
                self._is_decoding = True
                for frame in self._decoder.decode(packet):
                    yield frame, self._seconds_of(frame)
                    picture_seconds = time.monotonic()
                waiting_since = time.monotonic()
                self._check_pictures_come(waiting_since - picture_seconds)
                self._is_decoding = False
        except av.error.FFmpegError as error:
            why = from_ffmpeg(
                error,
                self._url,
                while_opening=False,
                waited_seconds=time.monotonic() - waiting_since,
                timeout_seconds=self._read_timeout_seconds,
            )
        if why is not None:
            raise why  # here, where FFmpeg's own error, with the password in its text, is not its context

    def _check_pictures_come(self, pictureless_seconds: float) -> None:
        """Packets come.

        Raises: CameraError("codec") where for as long as a packet may take there was no good picture among them; later
            where there was none yet, or where they are kept since the scene is still.
        """
        allowed_seconds = self._read_timeout_seconds if self._has_picture else _FIRST_PICTURE_SECONDS
        if self._decoder.is_skipping:
            allowed_seconds += MAX_KEPT_SECONDS
        if not self.live or pictureless_seconds <= allowed_seconds:
            return
        message = f"{self._url} sends data, but no good picture for {pictureless_seconds:.0f} s"
        advice = DAMAGE_ADVICE if self._has_picture else "set the camera to H.264 and a key frame every 2 s"
        raise CameraError("codec", f"{message}; {advice}")

    def _seconds_of(self, frame: VideoFrame) -> float | None:
        """Its time stamp; that of a file is checked, since recorders write wrong ones."""
        if not self.live:
            return self._stamps.seconds_of(frame)
        return None if frame.pts is None else frame.time

    def _video_packets(self) -> "Iterator[Packet[VideoStream]]":
        """Packets worth decoding. Where the stream is far behind, all up to the next key frame are left out.

        A live container is read whole, so that sound does not hide that the picture is missing.
        Raises: CameraError("timeout") after 20 s with other packets only; av.error.FFmpegError.
        """
        is_skipping = False
        asked_seconds = video_seconds = time.monotonic()
        index = self._stream.index
        for raw in self._container.demux() if self.live else self._container.demux(self._stream):
            packet = cast("Packet[VideoStream]", raw)
            now_seconds = time.monotonic()
            self._waited_seconds = now_seconds - asked_seconds
            if self._quit.is_set():
                return
            if self.live and self._waited_seconds >= self._read_timeout_seconds:
                # FFmpeg ran into its time-out, but first gives what its parser held, and would wait once more
                raise av.error.TimeoutError(errno.ETIMEDOUT, "nothing came in time")
            if packet.stream.index != index:
                self._counts.count_alive()
                if now_seconds - video_seconds > STALL_SECONDS:
                    message = f"{self._url} has sent no video for {STALL_SECONDS:.0f} s, only sound or data"
                    raise CameraError("timeout", f"{message}; restart the camera")
            else:
                video_seconds = now_seconds
                if packet.size:
                    self._counts.count_arrival()
                is_skipping = self._is_behind(packet, was_skipping=is_skipping)
                if is_skipping:
                    self._counts.num_skipped += 1
                else:
                    yield packet
            asked_seconds = time.monotonic()

    def _is_behind(self, packet: "Packet[VideoStream]", *, was_skipping: bool) -> bool:
        """True for a packet that need not be decoded, since what follows is newer and decoding is too slow for all."""
        clock = self._live_clock
        if packet.is_keyframe or not packet.size or not (was_skipping or clock.is_drowning):
            return False
        pts_seconds = None if packet.pts is None or packet.time_base is None else float(packet.pts * packet.time_base)
        clock.skip(arrival_seconds=time.monotonic(), pts_seconds=pts_seconds, waited_seconds=self._waited_seconds)
        return True
