"""What can be in the yard, and the yard's state at one moment; it knows no rules and no time but the moment's."""

from __future__ import annotations

from dataclasses import dataclass

WIDTH, HEIGHT = 640, 360

KINDS = ("person", "dog", "car", "truck", "bicycle", "parcel")
RARE_KINDS = ("fallen bicycle", "climber", "smoke")
"""Seen in a few per cent of hours; they are named without a colour."""
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
_ORDER = {kind: place for place, kind in enumerate((*KINDS, *RARE_KINDS))}
_COLOUR_ORDER = {colour: place for place, colour in enumerate(("", *COLOUR_NAMES))}


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
        return in_order([named(thing.kind, thing.colour) for thing in self.things])


def named(kind: str, colour: str) -> tuple[str, str]:
    """What a thing is called by: its kind and colour, or, where it is rare, its kind and ""."""
    return (kind, "") if kind in RARE_KINDS else (kind, colour)


def in_order(names: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """By kind, then colour; the rare ones last."""
    return sorted(names, key=lambda name: (_ORDER[name[0]], _COLOUR_ORDER[name[1]]))
