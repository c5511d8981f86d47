"""Draws what is seldom in the yard: a bicycle that fell over, a person on the fence, smoke behind the bushes."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from streamer.yard.brushes import (
    HAIR,
    OUTLINE,
    PAINT,
    SKIN,
    TROUSERS,
    Pixels,
    draw_disc,
    draw_line,
    draw_oval,
    draw_polygon,
)
from streamer.yard.things import HEIGHT, WIDTH, Thing

_NUM_PUFFS = 7
_SMOKE_HEIGHT = 104.0


def draw_fallen_bicycle(picture: Pixels, thing: Thing) -> None:
    """The bicycle flat on the ground, its wheels as flat rings, the handlebar pointing to the camera."""
    s, x, y, way = thing.scale, thing.x, thing.y + 8, thing.facing or 1
    paint = PAINT[thing.colour]

    def at(dx: float, dy: float) -> tuple[float, float]:
        return x + way * (dx + 0.5 * dy) * s, y - 0.46 * dy * s

    for offset in (-30, 30):
        centre = at(offset, 10)
        _ring(picture, centre[0], centre[1], 19 * s, 8.5 * s, max(2, round(5 * s)))
    frame = (
        ((-30, 10), (-8, 44)),
        ((-8, 44), (22, 44)),
        ((22, 44), (0, 10)),
        ((0, 10), (-8, 44)),
        ((-30, 10), (0, 10)),
    )
    bars = (*frame, ((30, 10), (20, 54)))
    for start, end in bars:
        draw_line(picture, OUTLINE, at(*start), at(*end), 8 * s)
    for start, end in bars:
        draw_line(picture, paint, at(*start), at(*end), 5 * s)
    draw_line(picture, OUTLINE, at(-14, 52), at(-2, 44), 7 * s)
    draw_line(picture, OUTLINE, at(8, 66), at(30, 48), 5 * s)


def draw_climber(picture: Pixels, thing: Thing) -> None:
    """A person astride the fence: one leg on this side, both hands on the pickets."""
    s, x, y, way = thing.scale, thing.x, thing.y, thing.facing or 1
    shirt, legs = PAINT[thing.colour], TROUSERS[thing.looks % 3]
    hip, lean = y - 34 * s, way * 12 * s
    neck = hip - 40 * s
    reach = 3 * math.sin(thing.phase) * s
    knee, foot = (x - way * 15 * s, hip + 16 * s), (x - way * 9 * s, hip + 37 * s + reach)
    far = (x + way * 26 * s, hip - 5 * s)
    for width, leg in ((12 * s, OUTLINE), (9 * s, legs)):
        draw_line(picture, leg, (x, hip), far, width)
        draw_line(picture, leg, (x, hip), knee, width)
        draw_line(picture, leg, knee, foot, width)
    shoulders = (x + lean - 15 * s, neck + 6 * s), (x + lean + 15 * s, neck + 6 * s)
    draw_polygon(picture, shirt, *shoulders, (x + 13 * s, hip + 5 * s), (x - 13 * s, hip + 5 * s))
    for side, hand in ((shoulders[0], x + lean - 27 * s), (shoulders[1], x + lean + 27 * s)):
        grip = (hand, hip + 3 * s)
        draw_line(picture, OUTLINE, (side[0], side[1] + 4 * s), grip, 10 * s)
        draw_line(picture, shirt, (side[0], side[1] + 4 * s), grip, 7 * s)
        draw_disc(picture, SKIN[thing.looks // 3 % 4], *grip, 4 * s)
    draw_disc(picture, OUTLINE, x + lean * 1.5, neck - 7 * s, 12.5 * s)
    draw_disc(picture, SKIN[thing.looks // 3 % 4], x + lean * 1.5, neck - 7 * s, 11 * s)
    draw_oval(picture, HAIR[thing.looks // 12 % 4], x + lean * 1.5, neck - 13 * s, 10.5 * s, 6 * s)


def draw_smoke(picture: Pixels, thing: Thing) -> None:
    """Grey puffs that rise, widen, drift and fade above the bushes."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    top, bottom = 0, int(thing.y) + 1
    left, right = max(0, int(thing.x - 90)), min(WIDTH, int(thing.x + 130))
    rows, columns = rows[top:bottom, left:right], columns[top:bottom, left:right]
    patch = picture[top:bottom, left:right].astype(np.float32)
    for puff in range(_NUM_PUFFS):
        risen = (puff + thing.phase / (2 * math.pi)) % _NUM_PUFFS / _NUM_PUFFS
        radius = (13 + 26 * risen) * thing.scale
        x = thing.x + (28 * risen + 7 * math.sin(risen * 9 + thing.looks)) * thing.scale
        y = thing.y - 10 - _SMOKE_HEIGHT * 0.8 * risen * thing.scale
        distance = np.hypot(columns - x, rows - y) / radius
        strength = np.clip(1.8 * (1 - distance), 0, 1) * (0.95 - 0.4 * risen)
        patch += (np.float32(84 + 62 * risen) - patch) * strength[:, :, None].astype(np.float32)
    picture[top:bottom, left:right] = patch.astype(np.uint8)


def _ring(picture: Pixels, x: float, y: float, half_width: float, half_height: float, thickness: int) -> None:
    angles = np.linspace(0, 2 * math.pi, 25)
    edge = [(x + half_width * math.cos(angle), y + half_height * math.sin(angle)) for angle in angles]
    for start, end in pairwise(edge):
        draw_line(picture, OUTLINE, start, end, thickness)
