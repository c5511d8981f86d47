"""Turns: with more cameras than a batch holds none starves, live or paced."""

import asyncio
import threading

import numpy as np

from streamer.frame import Frame
from streamer.handoff import Handoff
from streamer.turns import MAX_BATCH, Taken, Turns


class Feed:
    """A camera's end of a real handoff, put to by the test."""

    def __init__(self, name: str, *, live: bool = True) -> None:
        self.name, self.live = name, live
        self.handoff = Handoff(asyncio.get_running_loop(), asyncio.Event(), blocking=not live)
        self.take_nowait = self.handoff.take_nowait
        self._num_put = 0

    def put(self) -> None:
        """The next frame; a paced feed that is full waits with it."""
        if not self.live and self.handoff.is_full:
            return
        index, self._num_put = self._num_put, self._num_put + 1
        pixels = np.zeros((2, 2, 3), np.uint8)
        frame = Frame(pixels, time_seconds=100.0 + index, pts_seconds=None, index=index, camera=self.name)
        self.handoff.put(frame, threading.Event())


def turns(feeds: list[Feed], room: int = 36) -> Turns:
    return Turns(feeds, room=lambda _: room)  # type: ignore[arg-type]


def batch(turn: Turns, feeds: list[Feed]) -> list[Taken]:
    """As the fast clock gathers: round after round while paced feeds have more."""
    frames: list[Taken] = []
    while taken := turn.take(frames):
        frames += taken
        for feed in feeds:
            feed.put()
    return frames


async def test_each_of_twenty_busy_cameras_has_the_same_share() -> None:
    feeds = [Feed(str(index)) for index in range(20)]
    turn, shares = turns(feeds), [0] * 20
    for _ in range(50):
        for feed in feeds:
            feed.put()
        for index, _ in turn.take([]):
            shares[index] += 1

    assert shares == [50 * MAX_BATCH // 20] * 20
    assert [feed.handoff.num_dropped for feed in feeds] == [
        50 - share - feed.handoff.is_full for feed, share in zip(feeds, shares, strict=True)
    ]


async def test_paced_cameras_do_not_starve_live_ones_nor_the_other_way_round() -> None:
    feeds = [Feed("file", live=False), *(Feed(str(index)) for index in range(10)), Feed("other file", live=False)]
    turn, shares = turns(feeds), [0] * len(feeds)
    for _ in range(60):
        for feed in feeds:
            feed.put()
        for index, _ in batch(turn, feeds):
            shares[index] += 1

    assert sum(shares) == 60 * MAX_BATCH, "no place is left free while anyone has a frame"
    assert min(shares) >= 60 * MAX_BATCH // len(feeds) - 1
    assert all(feed.handoff.num_dropped == 0 for feed in feeds if not feed.live)


async def test_one_camera_alone_may_fill_a_batch_if_it_is_paced() -> None:
    paced, live = [Feed("file", live=False)], [Feed("camera")]
    for feed in paced + live:
        feed.put()

    assert len(batch(turns(paced), paced)) == MAX_BATCH
    assert len(batch(turns(live), live)) == 1


async def test_a_paced_camera_waits_for_room_and_a_live_one_does_not() -> None:
    feeds = [Feed("file", live=False), Feed("camera")]
    for feed in feeds:
        feed.put()

    assert [index for index, _ in batch(turns(feeds, room=0), feeds)] == [1]
    assert [index for index, _ in batch(turns(feeds, room=3), feeds)].count(0) == 3


async def test_silent_cameras_cost_no_turn() -> None:
    feeds = [Feed(str(index)) for index in range(30)]
    turn = turns(feeds)
    for _ in range(5):
        feeds[3].put()
        feeds[17].put()
        assert sorted(index for index, _ in turn.take([])) == [3, 17]
