"""KeptPackets: the packets since the newest key frame, bounded, and whether a stream's are few enough to be kept.

It knows neither what they show nor how to decode them.
"""

import time

from av.packet import Packet
from av.video.stream import VideoStream

__all__ = ["MAX_KEPT_BYTES", "MAX_KEPT_PACKETS", "MAX_KEPT_SECONDS", "KeptPackets"]

MAX_KEPT_PACKETS = 300
MAX_KEPT_BYTES = 8 * 1024 * 1024
MAX_KEPT_SECONDS = 8.0
"""Pictures of a still scene come at least so often: sooner than they are a gap, or than the camera is stale."""


class KeptPackets:
    """One group of pictures: a key frame and what followed.

    Bound: 300 packets, 8 MiB, 8 s. `add` says when one more does not fit; whoever adds then decodes them all at once.
    """

    def __init__(self) -> None:
        self._packets: list[Packet[VideoStream]] = []
        self._group = _Group()
        self._last_group: _Group | None = None

    def begin(self, packet: "Packet[VideoStream]", *, keep: bool) -> int:
        """A key frame came: what was kept goes. Returns how many packets that were, the key frame not counted."""
        num_gone = max(0, len(self._packets) - 1)
        self._last_group = self._group if self._group.num_packets else None
        self._group = _Group()
        self._group.count(packet)
        self._packets = [packet] if keep else []
        return num_gone

    def pass_on(self, packet: "Packet[VideoStream]") -> None:
        """A packet came that is not kept, since it is decoded."""
        self._group.count(packet)

    def add(self, packet: "Packet[VideoStream]") -> bool:
        """Keeps a packet. False if it was the last one that fits."""
        self._group.count(packet)
        self._packets.append(packet)
        return self._group.fits

    def take(self) -> "list[Packet[VideoStream]]":
        """What was kept, the key frame first; nothing is kept afterwards."""
        packets, self._packets = self._packets, []
        return packets

    @property
    def is_worth_it(self) -> bool:
        """True where the group before this one fitted, and was more than its key frame."""
        last = self._last_group
        return last is not None and last.fits and last.num_packets > 1


class _Group:
    """Size of one group of pictures."""

    def __init__(self) -> None:
        self.num_packets = 0
        self._num_bytes = 0
        self._began_seconds = self._newest_seconds = time.monotonic()

    def count(self, packet: "Packet[VideoStream]") -> None:
        self.num_packets += 1
        self._num_bytes += packet.size
        self._newest_seconds = time.monotonic()

    @property
    def fits(self) -> bool:
        """One more packet would fit, too."""
        seconds = self._newest_seconds - self._began_seconds
        few = self.num_packets < MAX_KEPT_PACKETS and self._num_bytes < MAX_KEPT_BYTES
        return few and seconds < MAX_KEPT_SECONDS
