"""Turns: which cameras' frames go into the next batch, so that none starves; knows no encoder and no event loop."""

from collections.abc import Callable, Sequence

from streamer.capture import Camera
from streamer.frame import Frame

__all__ = ["MAX_BATCH", "Taken", "Turns"]

MAX_BATCH = 8
"""Frames of one encoder batch, over all cameras: half as much memory as 16, and hardly slower."""

Taken = tuple[int, Frame]


class Turns:
    """Rounds over all cameras; each round goes on behind the camera that was served last.

    So with C cameras that all have a frame, each is served at least once in ceil(C / MAX_BATCH) batches, live or paced.
    A live camera's frame is always taken; what came meanwhile replaced it, and is counted there. A paced camera's frame
    stays where it is, and so holds the camera back, while its ring has no room; who makes room says that frames
    arrived.

    room  how many frames a camera's ring takes before it loses one
    """

    def __init__(self, cameras: Sequence[Camera], *, room: Callable[[int], int]) -> None:
        self._cameras = cameras
        self._room = room
        self._next = 0

    def take(self, pending: Sequence[Taken]) -> list[Taken]:
        """One frame of each camera that has one, while the batch has place: `pending` is in it already."""
        taken: list[Taken] = []
        first = self._next
        for offset in range(len(self._cameras)):
            if len(pending) + len(taken) >= MAX_BATCH:
                break
            index = (first + offset) % len(self._cameras)
            if self._may_take(index, pending) and (frame := self._cameras[index].take_nowait()) is not None:
                taken.append((index, frame))
                self._next = (index + 1) % len(self._cameras)
        return taken

    def _may_take(self, index: int, pending: Sequence[Taken]) -> bool:
        num_pending = sum(1 for other, _ in pending if other == index)
        if self._cameras[index].live:
            return not num_pending
        return self._room(index) > num_pending
