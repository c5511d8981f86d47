"""PacketDecoder: packets become pictures, damaged ones are counted and left out; knows no container and no clock.

While a scene is still it decodes key frames only, and keeps the packets in between, so that nothing is missed when
their sizes say that something moves.
"""

from collections.abc import Callable, Iterator, Sequence

import av.error
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from streamer.errors import CameraError
from streamer.kept_packets import KeptPackets
from streamer.packet_sizes import PacketSizes
from streamer.secret import SecretUrl
from streamer.source import SourceCounts

__all__ = ["DAMAGE_ADVICE", "PacketDecoder"]

_MAX_CORRUPT_IN_A_ROW = 500
DAMAGE_ADVICE = "its codec or size may have changed, or its network damages the stream"


class PacketDecoder:
    """Decodes one stream's packets, one connection long.

    key_frames_only  set at any time: the scene is still. It takes effect at a key frame, once the whole group of
                     pictures before it came under the same wish, and was small enough to be kept
    is_catching_up   True while `decode` gives pictures of packets that were kept: older than now, but with their own
                     time stamps, which no earlier picture had. They are given as fast as they decode, when the sizes of
                     the packets say that something moves, when `key_frames_only` is set back before the next key
                     frame, or when no more can be kept

    A key frame that is decoded alone is flushed out of the decoder at once, delayed or not, and decoded again if what
    follows is decoded after all: so every picture is what a decoder would give that started at this key frame. What is
    missed at most: a movement so small that no packet grew by it, and over before the next key frame.
    """

    def __init__(self, url: SecretUrl, *, counts: SourceCounts) -> None:
        self.key_frames_only = False
        self.is_catching_up = False
        self._url = url
        self._counts = counts
        self._num_corrupt_in_a_row = 0
        self._kept = KeptPackets()
        self._sizes = PacketSizes()
        self._was_still = False
        self._is_skipping = False
        self._key_pts: int | None = None
        self._repeats_key = False

    @property
    def is_skipping(self) -> bool:
        """True while only key frames are decoded."""
        return self._is_skipping

    def decode(self, packet: "Packet[VideoStream]") -> Iterator[VideoFrame]:
        """The whole pictures that this packet completes, or that kept ones hold.

        Raises: CameraError("codec") where hundreds were damaged in a row; av.error.FFmpegError.
        """
        if packet.is_keyframe:
            yield from self._key_frame(packet)
        elif self._is_skipping and packet.size:
            yield from self._keep(packet)
        else:
            self._kept.pass_on(packet)
            self._learn(packet)
            yield from self._whole(packet.decode)
        if self._num_corrupt_in_a_row > _MAX_CORRUPT_IN_A_ROW:
            raise CameraError("codec", f"{self._url} sends only damaged pictures; {DAMAGE_ADVICE}")

    def _key_frame(self, packet: "Packet[VideoStream]") -> Iterator[VideoFrame]:
        begins = self.key_frames_only and (self._is_skipping or self._was_still)
        was_skipping = self._is_skipping
        self._repeats_key = False
        self._counts.num_skipped += self._kept.begin(packet, keep=begins)
        self._is_skipping = begins = begins and self._kept.is_worth_it
        self._was_still = self.key_frames_only
        if not begins:
            self._kept.take()
            yield from self._whole(packet.decode)
            return
        if not was_skipping:
            yield from self._flush(packet)
        self._key_pts = packet.pts
        yield from self._whole(packet.decode)
        yield from self._flush(packet)

    def _keep(self, packet: "Packet[VideoStream]") -> Iterator[VideoFrame]:
        fits = self._kept.add(packet)
        moves = self._sizes.says_motion(packet.size)
        if fits and self.key_frames_only and not moves:
            return
        self._is_skipping = self._was_still = False
        self._sizes.forget()
        self.is_catching_up = self._repeats_key = True
        try:
            for kept in self._kept.take():
                yield from self._whole(kept.decode)
        finally:
            self.is_catching_up = False

    def _learn(self, packet: "Packet[VideoStream]") -> None:
        """What packets of a still scene weigh."""
        if not self.key_frames_only:
            self._sizes.forget()
            self._was_still = False
        elif packet.size:
            self._sizes.learn(packet.size)

    def _flush(self, packet: "Packet[VideoStream]") -> Iterator[VideoFrame]:
        """What the decoder still holds back; afterwards it is as new."""
        codec = packet.stream.codec_context
        yield from self._whole(lambda: codec.decode(None), time_base_of=packet)
        codec.flush_buffers()

    def _whole(
        self, decode: Callable[[], Sequence[VideoFrame]], *, time_base_of: "Packet[VideoStream] | None" = None
    ) -> Iterator[VideoFrame]:
        try:
            frames = decode()
        except av.error.InvalidDataError:
            self._count_corrupt()
            return
        for frame in frames:
            if frame.is_corrupt:
                self._count_corrupt()
                continue
            if time_base_of is not None and time_base_of.time_base is not None:
                frame.time_base = time_base_of.time_base  # flushed frames have none
            self._num_corrupt_in_a_row = 0
            if not self._was_given(frame):
                yield frame

    def _was_given(self, frame: VideoFrame) -> bool:
        """True for the picture of a key frame that is decoded for the second time, and what came before it."""
        if not self._repeats_key:
            return False
        if frame.pts is None or self._key_pts is None:
            self._repeats_key = False
            return True
        self._repeats_key = frame.pts < self._key_pts
        return frame.pts <= self._key_pts

    def _count_corrupt(self) -> None:
        self._counts.num_corrupt += 1
        self._num_corrupt_in_a_row += 1
