"""PacketSizes: does something move, judged by the sizes of a still scene's packets alone; knows no codec."""

from collections import deque

__all__ = ["PacketSizes"]

_ROW_PACKETS = 4  # so that a pattern of large and small ones, as B-frames make it, evens out
_WINDOW_ROWS = 256
_DOUBTED_ROWS = 16
_FACTOR, _MARGIN_BYTES = 1.4, 60


class PacketSizes:
    """Sizes in bytes of packets that are no key frames, in order. What moves makes them larger, mostly several times.

    Something moves where four packets in a row have 1.4 times the bytes, and 60 more, that four of the still scene had
    at most. Bound: the newest 256 rows of four. Noise and a light that drifts are in what is usual. What was judged
    becomes usual 16 packets later, so that the first of a movement do not hide what follows.
    """

    def __init__(self) -> None:
        self._row: deque[int] = deque(maxlen=_ROW_PACKETS)
        self._doubted: deque[int] = deque()
        self._usual: deque[int] = deque(maxlen=_WINDOW_ROWS)

    def learn(self, num_bytes: int) -> None:
        """A packet of a scene that is known to be still."""
        self._row.append(num_bytes)
        if len(self._row) == _ROW_PACKETS:
            self._usual.append(sum(self._row))

    def says_motion(self, num_bytes: int) -> bool:
        """Judges the next packet. False before anything was learned."""
        self._row.append(num_bytes)
        row_bytes = sum(self._row)
        if row_bytes > _FACTOR * max(self._usual, default=float("inf")) + _MARGIN_BYTES:
            return True
        self._doubted.append(row_bytes)
        if len(self._doubted) > _DOUBTED_ROWS:
            self._usual.append(self._doubted.popleft())
        return False

    def forget(self) -> None:
        """The scene is not still."""
        self._row.clear()
        self._doubted.clear()
        self._usual.clear()
