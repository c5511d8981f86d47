"""PacketDecoder: packets become pictures, damaged ones are counted and left out; knows no container and no clock."""

from collections.abc import Iterator

import av.error
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from streamer.errors import CameraError
from streamer.secret import SecretUrl
from streamer.source import SourceCounts

__all__ = ["PacketDecoder"]

_MAX_CORRUPT_IN_A_ROW = 500


class PacketDecoder:
    """Decodes one stream's packets, one connection long."""

    def __init__(self, url: SecretUrl, *, counts: SourceCounts) -> None:
        self._url = url
        self._counts = counts
        self._num_corrupt_in_a_row = 0

    def decode(self, packet: "Packet[VideoStream]") -> Iterator[VideoFrame]:
        """The whole pictures that this packet completes.

        Raises: CameraError("codec") where hundreds were damaged in a row; av.error.FFmpegError.
        """
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            self._count_corrupt()
            frames = []
        for frame in frames:
            if frame.is_corrupt:
                self._count_corrupt()
                continue
            self._num_corrupt_in_a_row = 0
            yield frame
        if self._num_corrupt_in_a_row > _MAX_CORRUPT_IN_A_ROW:
            raise CameraError("codec", f"{self._url} sends only damaged pictures; check its network, or its codec")

    def _count_corrupt(self) -> None:
        self._counts.num_corrupt += 1
        self._num_corrupt_in_a_row += 1
