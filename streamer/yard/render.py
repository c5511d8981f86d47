"""Draws a yard's state as the camera would see it: 640x360 RGB with OpenCV; it decides nothing that is true."""

from __future__ import annotations

import math
from datetime import datetime
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from streamer.yard.brushes import (
    HAIR,
    OUTLINE,
    PAINT,
    SKIN,
    TROUSERS,
    Pixels,
    draw_box,
    draw_disc,
    draw_line,
    draw_oval,
    draw_polygon,
)
from streamer.yard.rarities import draw_climber, draw_fallen_bicycle, draw_smoke
from streamer.yard.things import HEIGHT, RARE_KINDS, WIDTH, Thing, YardState


def render(state: YardState) -> Pixels:
    """Pixels uint8 [360, 640, 3] RGB of the yard in `state`, with the clock burnt in."""
    picture = _background(state.gate_open).copy()
    for thing in sorted(state.things, key=lambda thing: thing.y):
        if thing.kind not in RARE_KINDS:
            _shadow(picture, thing)
        _DRAW[thing.kind](picture, thing)
    if state.daylight < 1.0:
        picture = _dim(picture, state.daylight)
    _lamp(picture, state)
    _clock(picture, state.time_seconds)
    return picture


@lru_cache(maxsize=2)
def _background(gate_open: bool) -> Pixels:
    """The yard with nobody in it, by day."""
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    sky = np.linspace((150, 196, 236), (222, 236, 244), 100).astype(np.uint8)
    picture[:100] = sky[:, None]
    picture[100:112] = (126, 152, 116)
    for x, radius, shade in ((230, 46, 0), (300, 34, 8), (372, 40, -6), (455, 52, 4), (560, 44, -4), (625, 38, 6)):
        draw_disc(picture, (104 + shade, 140 + shade, 98 + shade), x, 108, radius)
    picture[112:172] = (136, 136, 140)
    picture[168:174] = (184, 182, 176)
    for x in range(190, WIDTH, 46):
        draw_box(picture, (206, 204, 196), x, 139, x + 22, 142, outline=False)
    lawn = np.linspace((152, 184, 124), (128, 164, 104), HEIGHT - 174).astype(np.int16)[:, None]
    grain = np.random.default_rng(3).integers(-5, 6, (HEIGHT - 174, WIDTH, 1))
    picture[174:] = np.clip(lawn + grain, 0, 255)
    draw_polygon(picture, (204, 190, 164), (398, 208), (452, 208), (226, 316), (112, 316), (112, 284), outline=False)
    draw_polygon(picture, (188, 188, 186), (478, 226), (640, 226), (640, 360), (464, 360), outline=False)
    _fence(picture, gate_open)
    _house(picture)
    picture.setflags(write=False)
    return picture


def _fence(picture: Pixels, gate_open: bool) -> None:
    for left, right in ((186, 394), (458, 640)):
        draw_box(picture, (226, 218, 202), left, 182, right, 187, outline=False)
        draw_box(picture, (226, 218, 202), left, 197, right, 202, outline=False)
        for x in range(left, right - 6, 12):
            draw_polygon(picture, (240, 234, 222), (x, 210), (x, 180), (x + 3.5, 175), (x + 7, 180), (x + 7, 210))
    for x in (390, 456):
        draw_box(picture, (120, 92, 64), x, 168, x + 8, 212)
    if gate_open:
        draw_polygon(picture, (156, 104, 60), (398, 174), (380, 190), (380, 234), (398, 210))
    else:
        draw_box(picture, (156, 104, 60), 398, 174, 456, 210)
        for x in range(408, 452, 10):
            draw_line(picture, (112, 72, 40), (x, 176), (x, 208), 2)
        draw_line(picture, (112, 72, 40), (399, 208), (455, 176), 3)


def _house(picture: Pixels) -> None:
    draw_box(picture, (222, 200, 176), -4, 74, 186, 268)
    draw_polygon(picture, (150, 82, 66), (-4, 78), (-4, 18), (150, 18), (200, 78))
    for y in (34, 50, 64):
        draw_line(picture, (132, 70, 56), (0, y), (152 + (y - 18) * 0.8, y), 1)
    draw_box(picture, (250, 248, 240), 18, 116, 86, 178)
    draw_box(picture, (126, 164, 190), 24, 122, 80, 172)
    draw_line(picture, (250, 248, 240), (52, 122), (52, 172), 4)
    draw_line(picture, (250, 248, 240), (24, 147), (80, 147), 4)
    draw_box(picture, (250, 248, 240), 106, 166, 160, 268)
    draw_box(picture, (70, 106, 110), 112, 172, 154, 268)
    draw_disc(picture, (226, 196, 110), 147, 224, 3)
    draw_box(picture, (176, 170, 162), 96, 268, 170, 280)


def _shadow(picture: Pixels, thing: Thing) -> None:
    half = {"person": 18, "dog": 30, "car": 76, "truck": 84, "bicycle": 42, "parcel": 22}[thing.kind] * thing.scale
    top, bottom = max(0, int(thing.y - 7)), min(HEIGHT, int(thing.y + 8))
    left, right = max(0, int(thing.x - half - 2)), min(WIDTH, int(thing.x + half + 2))
    if top >= bottom or left >= right:
        return
    patch = picture[top:bottom, left:right]
    dark = patch.copy()
    draw_oval(dark, (60, 66, 60), thing.x - left, thing.y - top - 1, half, 5)
    picture[top:bottom, left:right] = cv2.addWeighted(patch, 0.5, dark, 0.5, 0)


def _person(picture: Pixels, thing: Thing) -> None:
    s, x, y = thing.scale, thing.x, thing.y
    shirt = PAINT[thing.colour]
    legs = TROUSERS[thing.looks % 3]
    swing = math.sin(thing.phase) * 9 * s if thing.facing else 3 * s
    hip, neck = y - 38 * s, y - 80 * s
    for foot in (swing, -swing):
        draw_line(picture, OUTLINE, (x, hip), (x + foot, y - 3 * s), 12 * s)
        draw_line(picture, legs, (x, hip), (x + foot, y - 3 * s), 9 * s)
    for hand in (-swing, swing):
        draw_line(
            picture, OUTLINE, (x + math.copysign(13 * s, hand), neck + 7 * s), (x + hand * 1.6, hip - 2 * s), 10 * s
        )
        draw_line(picture, shirt, (x + math.copysign(13 * s, hand), neck + 7 * s), (x + hand * 1.6, hip - 2 * s), 7 * s)
    wide, slim = 18 * s, 14 * s
    draw_polygon(
        picture, shirt, (x - wide, neck + 3), (x + wide, neck + 3), (x + slim, hip + 5 * s), (x - slim, hip + 5 * s)
    )
    draw_disc(picture, OUTLINE, x, neck - 8 * s, 12.5 * s)
    draw_disc(picture, SKIN[thing.looks // 3 % 4], x, neck - 8 * s, 11 * s)
    draw_oval(picture, HAIR[thing.looks // 12 % 4], x - 1.5 * thing.facing, neck - 14 * s, 10.5 * s, 6 * s)


def _dog(picture: Pixels, thing: Thing) -> None:
    s, x, y = thing.scale, thing.x, thing.y
    coat, way = PAINT[thing.colour], thing.facing or 1
    swing = math.sin(thing.phase * 1.5) * 5 * s if thing.facing else 0.0
    for hip, foot in ((-19, swing), (-12, -swing), (13, -swing), (20, swing)):
        draw_line(picture, OUTLINE, (x + hip * s, y - 18 * s), (x + hip * s + foot, y - 2), 9 * s)
        draw_line(picture, coat, (x + hip * s, y - 18 * s), (x + hip * s + foot, y - 2), 6 * s)
    draw_line(picture, OUTLINE, (x - way * 24 * s, y - 28 * s), (x - way * 36 * s, y - 42 * s), 8 * s)
    draw_line(picture, coat, (x - way * 24 * s, y - 28 * s), (x - way * 36 * s, y - 42 * s), 5 * s)
    draw_oval(picture, OUTLINE, x, y - 24 * s, 29 * s, 13 * s)
    draw_oval(picture, coat, x, y - 24 * s, 27 * s, 11 * s)
    draw_disc(picture, OUTLINE, x + way * 28 * s, y - 36 * s, 13 * s)
    draw_disc(picture, coat, x + way * 28 * s, y - 36 * s, 11 * s)
    draw_oval(picture, coat, x + way * 39 * s, y - 33 * s, 7 * s, 5 * s)
    draw_disc(picture, OUTLINE, x + way * 44 * s, y - 34 * s, 2.6 * s)
    draw_polygon(picture, OUTLINE, *((x + way * dx * s, y - dy * s) for dx, dy in ((18, 46), (26, 48), (21, 32))))


def _wheels(picture: Pixels, thing: Thing, offsets: tuple[float, ...], radius: float) -> None:
    for offset in offsets:
        centre = thing.x + offset * thing.scale
        draw_disc(picture, OUTLINE, centre, thing.y - radius * 0.8, radius)
        draw_disc(picture, (150, 150, 154), centre, thing.y - radius * 0.8, radius * 0.5)


def _car(picture: Pixels, thing: Thing) -> None:
    s, x, y, way = thing.scale, thing.x, thing.y, thing.facing or 1
    paint = PAINT[thing.colour]

    def at(*corners: tuple[float, float]) -> list[tuple[float, float]]:
        return [(x + way * dx * s, y - dy * s) for dx, dy in corners]

    draw_polygon(picture, paint, *at((-48, 38), (-34, 62), (20, 62), (42, 38)))
    draw_polygon(picture, (176, 206, 222), *at((-40, 40), (-30, 57), (-6, 57), (-6, 40)))
    draw_polygon(picture, (176, 206, 222), *at((0, 40), (0, 57), (17, 57), (33, 40)))
    draw_polygon(picture, paint, *at((-76, 10), (-76, 36), (-48, 42), (44, 42), (74, 32), (76, 10)))
    draw_oval(picture, (255, 240, 170), x + way * 71 * s, y - 25 * s, 5 * s, 5 * s)
    _wheels(picture, thing, (-44, 44), 14 * s)


def _truck(picture: Pixels, thing: Thing) -> None:
    s, x, y, way = thing.scale * 0.94, thing.x, thing.y, thing.facing or 1
    paint = PAINT[thing.colour]

    def at(*corners: tuple[float, float]) -> list[tuple[float, float]]:
        return [(x + way * dx * s, y - dy * s) for dx, dy in corners]

    draw_polygon(picture, paint, *at((-84, 14), (-84, 96), (36, 96), (36, 14)))
    top, bottom = at((-24, 94), (-24, 16))
    draw_line(picture, OUTLINE, bottom, top, 2)
    draw_polygon(picture, paint, *at((40, 14), (40, 72), (66, 72), (84, 44), (84, 14)))
    draw_polygon(picture, (176, 206, 222), *at((50, 46), (50, 65), (63, 65), (76, 46)))
    draw_oval(picture, (255, 240, 170), x + way * 79 * s, y - 26 * s, 5 * s, 5 * s)
    _wheels(picture, thing, (-54, 58), 16 * s)


def _bicycle(picture: Pixels, thing: Thing) -> None:
    s, x, y, way = thing.scale, thing.x, thing.y, thing.facing or 1
    paint = PAINT[thing.colour]

    def at(dx: float, dy: float) -> tuple[float, float]:
        return x + way * dx * s, y - dy * s

    for offset in (-28, 28):
        draw_disc(picture, OUTLINE, x + offset * s, y - 18 * s, 18 * s, thickness=max(2, round(5 * s)))
    bars = (((-28, 18), (-10, 46)), ((-10, 46), (20, 46)), ((20, 46), (0, 18)), ((0, 18), (-10, 46)))
    for start, end in (*bars, ((-28, 18), (0, 18)), ((28, 18), (18, 54))):
        draw_line(picture, OUTLINE, at(*start), at(*end), 10 * s)
    for start, end in (*bars, ((-28, 18), (0, 18)), ((28, 18), (18, 54))):
        draw_line(picture, paint, at(*start), at(*end), 7 * s)
    draw_line(picture, OUTLINE, at(-18, 50), at(-3, 50), 6 * s)
    draw_line(picture, OUTLINE, at(10, 57), at(24, 56), 5 * s)


def _parcel(picture: Pixels, thing: Thing) -> None:
    x, y = thing.x, thing.y
    paint = PAINT[thing.colour]
    lid = tuple(min(255, channel + 26) for channel in paint)
    draw_box(picture, paint, x - 22, y - 32, x + 22, y)
    draw_polygon(
        picture, (lid[0], lid[1], lid[2]), (x - 22, y - 32), (x - 14, y - 42), (x + 30, y - 42), (x + 22, y - 32)
    )
    draw_polygon(picture, paint, (x + 22, y - 32), (x + 30, y - 42), (x + 30, y - 9), (x + 22, y))
    draw_box(picture, (226, 200, 140), x - 4, y - 32, x + 4, y, outline=False)


_DRAW = {
    "person": _person,
    "dog": _dog,
    "car": _car,
    "truck": _truck,
    "bicycle": _bicycle,
    "parcel": _parcel,
    "fallen bicycle": draw_fallen_bicycle,
    "climber": draw_climber,
    "smoke": draw_smoke,
}


def _dim(picture: Pixels, daylight: float) -> Pixels:
    """Evening and night: darker and bluer, though never so dark that colours are lost."""
    levels = np.arange(256, dtype=np.float32)[:, None]
    keep = np.array([0.40, 0.44, 0.58], np.float32) * (1 - daylight) + daylight
    table = np.clip(levels * keep, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(picture, table[None]), np.uint8)


def _lamp(picture: Pixels, state: YardState) -> None:
    x, y = 133, 150
    if state.lamp_on:
        top, left = y - 46, x - 46
        patch = picture[top : y + 47, left : x + 47]
        halo = np.asarray(_halo() * (1.0 - 0.45 * state.daylight), np.float32)
        glow = np.array([255, 226, 140], np.float32)
        picture[top : y + 47, left : x + 47] = (patch * (1 - halo) + glow * halo).astype(np.uint8)
    draw_disc(picture, OUTLINE, x, y, 8.5)
    draw_disc(picture, (255, 244, 190) if state.lamp_on else (92, 92, 96), x, y, 7)


@lru_cache(maxsize=1)
def _halo() -> NDArray[np.float32]:
    offsets = np.arange(-46, 47, dtype=np.float32)
    distance = np.hypot(offsets[:, None], offsets[None, :])[:, :, None] / 46
    return np.clip(1 - distance, 0, 1).astype(np.float32) ** 1.2 * np.float32(0.95)


def _clock(picture: Pixels, time_seconds: float) -> None:
    text = datetime.fromtimestamp(time_seconds).strftime("%Y-%m-%d %H:%M:%S")
    picture[4:24, 448:636] = picture[4:24, 448:636] // 3
    cv2.putText(picture, text, (454, 19), cv2.FONT_HERSHEY_SIMPLEX, 0.48, (250, 250, 250), 1, cv2.LINE_AA)
