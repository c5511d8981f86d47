"""The sun over the yard: days of its local clock, and how light it is."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import lru_cache

SUNRISE_HOUR, SUNSET_HOUR, TWILIGHT_HOURS = 6.5, 19.5, 0.7


def day_of(time_seconds: float) -> int:
    """The number of the local day that holds `time_seconds`."""
    return datetime.fromtimestamp(time_seconds).toordinal()


@lru_cache(maxsize=4096)
def midnight_seconds(day: int) -> float:
    """When the local day `day` begins."""
    return datetime.combine(date.fromordinal(day), datetime.min.time()).timestamp()


def clock_seconds(day: int, hour: float) -> float:
    """When the local clock shows `hour` on `day`."""
    return (datetime.combine(date.fromordinal(day), datetime.min.time()) + timedelta(hours=hour)).timestamp()


def hour_of(time_seconds: float) -> float:
    now = datetime.fromtimestamp(time_seconds)
    return now.hour + now.minute / 60 + now.second / 3600


def daylight(time_seconds: float) -> float:
    """0 at night, 1 by day, in between at dawn and dusk."""
    hour = hour_of(time_seconds)
    rise = (hour - SUNRISE_HOUR) / TWILIGHT_HOURS
    sink = (SUNSET_HOUR - hour) / TWILIGHT_HOURS
    ramp = min(max(min(rise, sink) + 0.5, 0.0), 1.0)
    return ramp * ramp * (3 - 2 * ramp)
