"""Paint and brushes of the yard's pictures: anti-aliased shapes with a dark outline; they know no thing."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Colour = tuple[int, int, int]

PAINT: dict[str, Colour] = {
    "red": (214, 38, 38),
    "blue": (36, 84, 214),
    "yellow": (248, 206, 34),
    "white": (245, 245, 245),
    "black": (34, 34, 38),
    "green": (12, 128, 62),
    "brown": (139, 84, 40),
}
OUTLINE: Colour = (24, 24, 28)
SKIN: tuple[Colour, ...] = ((246, 208, 176), (222, 172, 132), (164, 112, 78), (108, 72, 50))
HAIR: tuple[Colour, ...] = ((52, 36, 26), (22, 20, 20), (150, 104, 52), (186, 186, 186))
TROUSERS: tuple[Colour, ...] = ((74, 84, 104), (98, 90, 80), (62, 66, 70))
SHIFT = 3  # cv2 draws with 1/8 pixel steps


def _points(*points: tuple[float, float]) -> NDArray[np.int32]:
    return np.round(np.array(points, dtype=np.float64) * (1 << SHIFT)).astype(np.int32)


def draw_polygon(picture: Pixels, colour: Colour, *points: tuple[float, float], outline: bool = True) -> None:
    corners = _points(*points)
    cv2.fillPoly(picture, [corners], colour, cv2.LINE_AA, SHIFT)
    if outline:
        cv2.polylines(picture, [corners], True, OUTLINE, 2, cv2.LINE_AA, SHIFT)


def draw_box(
    picture: Pixels, colour: Colour, left: float, top: float, right: float, bottom: float, **how: bool
) -> None:
    draw_polygon(picture, colour, (left, top), (right, top), (right, bottom), (left, bottom), **how)


def draw_disc(picture: Pixels, colour: Colour, x: float, y: float, radius: float, *, thickness: int = -1) -> None:
    centre = (round(x * (1 << SHIFT)), round(y * (1 << SHIFT)))
    cv2.circle(picture, centre, round(radius * (1 << SHIFT)), colour, thickness, cv2.LINE_AA, SHIFT)


def draw_oval(picture: Pixels, colour: Colour, x: float, y: float, half_width: float, half_height: float) -> None:
    centre = (round(x * (1 << SHIFT)), round(y * (1 << SHIFT)))
    axes = (round(half_width * (1 << SHIFT)), round(half_height * (1 << SHIFT)))
    cv2.ellipse(picture, centre, axes, 0, 0, 360, colour, -1, cv2.LINE_AA, SHIFT)


def draw_line(
    picture: Pixels, colour: Colour, start: tuple[float, float], end: tuple[float, float], width: float
) -> None:
    first, second = _points(start, end)
    cv2.line(picture, first.tolist(), second.tolist(), colour, max(1, round(width)), cv2.LINE_AA, SHIFT)
