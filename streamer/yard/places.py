"""Where a visit's thing stands at a moment: smooth ways through the lanes of the picture."""

from __future__ import annotations

import math

from streamer.yard.things import Thing
from streamer.yard.visits import Visit

_STRIDE, _SMOKE = 7.0, 4.0  # radians per second
_STREET = (250.0, 585.0)
_PATH, _GATE = (345.0, 448.0), 425.0
_LAWN = (232.0, 452.0)
_SMOKE_PLACES = (236.0, 330.0, 408.0)
_STOPPING_SECONDS = 6.0
_MOWING_PACE = 30.0


def place(visit: Visit, time_seconds: float) -> Thing:
    """The thing of a visit that goes on at `time_seconds`."""
    age, left = time_seconds - visit.start_seconds, visit.end_seconds - time_seconds
    done = age / (visit.end_seconds - visit.start_seconds)
    first, second = visit.route
    way = 1 if first < 0.5 else -1
    match visit.lane:
        case "street":
            along = _stopping(age, left, at=0.25 + 0.5 * second) if visit.manner == "stop" else done
            x = _STREET[0] + (_STREET[1] - _STREET[0]) * (along if way > 0 else 1 - along)
            return _thing(visit, x, 167, 0.78, way, time_seconds * _STRIDE)
        case "driveway":
            return _thing(visit, 556, 318, 1.0, way, 0.0)
        case "path":
            x, facing = _on_path(visit, age, left, way)
            return _thing(visit, x, 276, 0.86, facing, time_seconds * _STRIDE)
        case "lawn":
            if visit.manner == "mow":
                x, facing = _to_and_fro(age + 15 * second, _LAWN)
            else:
                x, facing = _stroll(age, left, turn=330, span=_LAWN, way=way, rest=second)
            return _thing(visit, x, 346, 1.0, facing, time_seconds * _STRIDE)
        case "door":
            return _thing(visit, 184, 292, 0.9, -1, 0.0)
        case "dog":
            x, facing = _stroll(age, left, turn=300, span=(60, 440), way=way, rest=second)
            return _thing(visit, x, 357, 1.0, facing, time_seconds * _STRIDE)
        case "fence":
            return _thing(visit, 292, 222, 0.95, way, 0.0)
        case "step":
            return _thing(visit, 92, 300, 1.0, 0, 0.0)
        case "bench":
            return _thing(visit, 36, 306, 1.0, 0, 0.0)
        case "fence top":
            return _thing(visit, 500 + 90 * second, 208 - 2 * math.sin(age), 0.86, way, age * 2)
        case "smoke":
            grown = min(1.0, 0.5 + age / 40, 0.3 + left / 20)
            x = _SMOKE_PLACES[int(second * len(_SMOKE_PLACES))]
            return _thing(visit, x, 112, grown, 0, time_seconds * _SMOKE)
    raise AssertionError(visit.lane)


def _on_path(visit: Visit, age: float, left: float, way: int) -> tuple[float, int]:
    low, high = _PATH
    done = age / (age + left)
    match visit.manner:
        case "in":
            return high + (low - high) * done, -1
        case "out":
            return low + (high - low) * done, 1
    return _stroll(age, left, turn=_GATE, span=_PATH, way=way, rest=visit.route[1])


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


def _to_and_fro(age: float, span: tuple[float, float]) -> tuple[float, int]:
    low, high = span
    length = high - low
    walked = (age * _MOWING_PACE) % (2 * length)
    return (low + walked, 1) if walked < length else (high - (walked - length), -1)


def _stopping(age: float, left: float, *, at: float) -> float:
    """The share of the street that is behind a truck that slows down, stands at share `at` and drives on."""
    arrived, gone = (min(1.0, seconds / _STOPPING_SECONDS) for seconds in (age, left))
    if gone < 1.0:
        return 1 - (1 - at) * gone * gone * (3 - 2 * gone)
    return at * arrived * arrived * (3 - 2 * arrived)


def _thing(visit: Visit, x: float, y: float, scale: float, facing: int, phase: float) -> Thing:
    return Thing(visit.kind, visit.colour, x, y, scale, facing, phase % (2 * math.pi), visit.looks)
