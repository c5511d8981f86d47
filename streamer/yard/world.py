"""The yard's truth: who and what is there at any moment, a pure function of seed and time; it draws nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from random import Random

WIDTH, HEIGHT = 640, 360
FRAMES_PER_SECOND = 10

KINDS = ("person", "dog", "car", "truck", "bicycle", "parcel")
PAINTS = ("red", "blue", "yellow", "white", "black", "green")
COLOURS = {
    "person": PAINTS,
    "dog": ("brown", "black", "white"),
    "car": PAINTS,
    "truck": PAINTS,
    "bicycle": PAINTS,
    "parcel": ("brown", "white", "blue"),
}
COLOUR_NAMES = (*PAINTS, "brown")

SUNRISE_HOUR, SUNSET_HOUR, TWILIGHT_HOURS = 6.5, 19.5, 0.7


@dataclass(frozen=True)
class Thing:
    """One visible thing: `x`, `y` are the middle of its foot in pixels of the 640x360 picture, `scale` its size."""

    kind: str
    colour: str
    x: float
    y: float
    scale: float
    facing: int
    """1 looks right, -1 looks left, 0 stands still."""
    phase: float
    """Where it is in its stride, in radians."""
    looks: int
    """A number that picks what the colour does not say: hair, trousers, shade."""


@dataclass(frozen=True)
class YardState:
    """Everything that is true of the yard at one moment."""

    time_seconds: float
    things: tuple[Thing, ...]
    gate_open: bool
    lamp_on: bool
    daylight: float
    """0 is night, 1 is day."""

    @property
    def is_night(self) -> bool:
        return self.daylight < 0.5

    def named(self) -> list[tuple[str, str]]:
        """(kind, colour) of each thing, in the fixed order in which answers name them."""
        return sorted(
            ((thing.kind, thing.colour) for thing in self.things),
            key=lambda name: (KINDS.index(name[0]), COLOUR_NAMES.index(name[1])),
        )


@dataclass(frozen=True)
class Lane:
    """One place where at most one thing is at a time; visits are drawn anew in each block of time."""

    name: str
    kinds: tuple[str, ...]
    block_seconds: float
    idle_seconds: tuple[float, float]
    stay_seconds: tuple[float, float]


LANES = (
    Lane("street", ("car", "car", "truck"), 300, (3, 18), (7, 13)),
    Lane("driveway", ("car", "car", "truck"), 1800, (60, 400), (60, 420)),
    Lane("path", ("person",), 300, (5, 35), (12, 40)),
    Lane("lawn", ("person",), 300, (15, 70), (12, 40)),
    Lane("door", ("person",), 600, (60, 240), (15, 60)),
    Lane("dog", ("dog",), 300, (20, 70), (15, 45)),
    Lane("fence", ("bicycle",), 1800, (60, 500), (60, 400)),
    Lane("step", ("parcel",), 1800, (120, 700), (60, 500)),
    Lane("bench", ("parcel",), 1800, (300, 1200), (60, 400)),
)


@dataclass(frozen=True)
class Visit:
    """One thing in one lane from `start_seconds` to `end_seconds`; `route` holds the lane's free choices in [0, 1)."""

    lane: Lane
    kind: str
    colour: str
    start_seconds: float
    end_seconds: float
    route: tuple[float, float]
    looks: int


class World:
    """A yard that is wholly given by `seed`: `state_at` needs no history, so any moment costs the same."""

    def __init__(self, seed: int) -> None:
        if seed < 0:
            raise ValueError(f"seed must be 0 or more, got {seed}")
        self.seed = seed

    def state_at(self, time_seconds: float) -> YardState:
        """The truth at `time_seconds` (UTC epoch; the hour of the day is the local clock's)."""
        things = [
            thing
            for index, lane in enumerate(LANES)
            for visit in _visits(self.seed, index, math.floor(time_seconds / lane.block_seconds))
            if visit.start_seconds <= time_seconds < visit.end_seconds
            if (thing := _place(visit, time_seconds)) is not None
        ]
        daylight = _daylight(time_seconds)
        return YardState(
            time_seconds=time_seconds,
            things=tuple(things),
            gate_open=_switch(self.seed, 100, time_seconds, block_seconds=120, share_on=0.45),
            lamp_on=_switch(self.seed, 101, time_seconds, block_seconds=600, share_on=0.85 if daylight < 0.5 else 0.2),
            daylight=daylight,
        )


@lru_cache(maxsize=4096)
def _visits(seed: int, lane_index: int, block: int) -> tuple[Visit, ...]:
    return tuple(_draw_visits(seed, lane_index, block))


def _draw_visits(seed: int, lane_index: int, block: int) -> Iterator[Visit]:
    lane = LANES[lane_index]
    rng = Random(f"{seed} {lane_index} {block}")
    start = block * lane.block_seconds + rng.uniform(0, lane.idle_seconds[1])
    last = (block + 1) * lane.block_seconds - 1
    while True:
        kind = lane.kinds[int(rng.random() * len(lane.kinds))]
        visit = Visit(
            lane=lane,
            kind=kind,
            colour=COLOURS[kind][int(rng.random() * len(COLOURS[kind]))],
            start_seconds=start,
            end_seconds=start + rng.uniform(*lane.stay_seconds),
            route=(rng.random(), rng.random()),
            looks=int(rng.random() * 65_536),
        )
        if visit.end_seconds > last:
            return
        yield visit
        start = visit.end_seconds + rng.uniform(*lane.idle_seconds)


def _place(visit: Visit, time_seconds: float) -> Thing | None:
    """Where the visit's thing stands now; None while it is still out of the picture."""
    age, left = time_seconds - visit.start_seconds, visit.end_seconds - time_seconds
    done = age / (visit.end_seconds - visit.start_seconds)
    first, second = visit.route
    way = 1 if first < 0.5 else -1
    match visit.lane.name:
        case "street":
            x = 250 + 335 * (done if way > 0 else 1 - done)
            return _thing(visit, x, 167, 0.78, way, time_seconds)
        case "driveway":
            return _thing(visit, 556, 318, 1.0, way, 0.0)
        case "path":
            x, facing = _stroll(age, left, turn=425, span=(345, 448), way=way, rest=second)
            return _thing(visit, x, 276, 0.86, facing, time_seconds)
        case "lawn":
            x, facing = _stroll(age, left, turn=330, span=(232, 452), way=way, rest=second)
            return _thing(visit, x, 346, 1.0, facing, time_seconds)
        case "door":
            return _thing(visit, 184, 292, 0.9, -1, 0.0)
        case "dog":
            x, facing = _stroll(age, left, turn=300, span=(60, 440), way=way, rest=second)
            return _thing(visit, x, 357, 1.0, facing, time_seconds)
        case "fence":
            return _thing(visit, 292, 222, 0.95, way, 0.0)
        case "step":
            return _thing(visit, 92, 300, 1.0, 0, 0.0)
        case "bench":
            return _thing(visit, 36, 306, 1.0, 0, 0.0)
    raise AssertionError(visit.lane.name)


def _stroll(
    age: float, left: float, *, turn: float, span: tuple[float, float], way: int, rest: float
) -> tuple[float, int]:
    """Walk to and fro within `span` from `turn`, with a rest at a place of one's own. Returns x and the facing."""
    low, high = span
    stand = low + rest * (high - low)
    pace = 38.0
    reach = abs(stand - turn) / pace
    if age < reach:
        facing = 1 if stand > turn else -1
        return turn + facing * pace * age, facing
    if left < reach:
        facing = -1 if stand > turn else 1
        return turn - facing * pace * left, facing
    settled = min(1.0, (age - reach) / 2, (left - reach) / 2)
    sway = 14 * math.sin((age - reach) * 0.5) * way * settled
    return min(max(stand + sway, low), high), 0


def _thing(visit: Visit, x: float, y: float, scale: float, facing: int, time_seconds: float) -> Thing:
    phase = (time_seconds * 7.0) % (2 * math.pi)
    return Thing(visit.kind, visit.colour, x, y, scale, facing, phase, visit.looks)


def _switch(seed: int, stream: int, time_seconds: float, *, block_seconds: float, share_on: float) -> bool:
    """On for one stretch of about half of the blocks in which it goes on at all."""
    block = math.floor(time_seconds / block_seconds)
    goes_on, start, length = _switch_draw(seed, stream, block)
    inside = (time_seconds - block * block_seconds) / block_seconds
    return goes_on < share_on and start * 0.4 <= inside < start * 0.4 + 0.3 + 0.7 * length


@lru_cache(maxsize=1024)
def _switch_draw(seed: int, stream: int, block: int) -> tuple[float, float, float]:
    rng = Random(f"{seed} {stream} {block}")
    return rng.random(), rng.random(), rng.random()


def _daylight(time_seconds: float) -> float:
    now = datetime.fromtimestamp(time_seconds)
    hour = now.hour + now.minute / 60 + now.second / 3600
    rise = (hour - SUNRISE_HOUR) / TWILIGHT_HOURS
    sink = (SUNSET_HOUR - hour) / TWILIGHT_HOURS
    ramp = min(max(min(rise, sink) + 0.5, 0.0), 1.0)
    return ramp * ramp * (3 - 2 * ramp)
