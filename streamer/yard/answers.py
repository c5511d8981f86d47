"""The fixed forms of true sentences about the yard, and how what they claim is read back; it draws no questions."""

from __future__ import annotations

import re
from collections import Counter
from datetime import datetime

from streamer.yard.things import COLOUR_NAMES, KINDS, RARE_KINDS, YardState

PLURAL = {
    "person": "people",
    "dog": "dogs",
    "car": "cars",
    "truck": "trucks",
    "bicycle": "bicycles",
    "parcel": "parcels",
}
NUMBER = ("no", "one", "two", "three", "four", "five")
RARE_NAMES = {"fallen bicycle": "a fallen bicycle", "climber": "a person on the fence", "smoke": "smoke"}

CANNOT_KNOW = "I cannot know that from the pictures."
NOT_THE_YARD = "This is not the yard. I know only the built-in yard, so I cannot tell."
EMPTY = "The yard is empty."
NOTHING_CAME = "Nothing came by."

SHORT_SECONDS = 120.0
"""Shorter times are told in seconds, rounded to tens, longer ones in minutes."""

_COLOURS, _KINDS = "|".join(COLOUR_NAMES), "|".join(kind for kind in KINDS if kind != "person")
_RARE = r"a fallen bicycle|a person on the fence|(?<!no )\bsmoke"
_NAME = rf"\ba person in (?:{_COLOURS})\b|\ba (?:{_COLOURS}) (?:{_KINDS})\b|{_RARE}\b"


def name_thing(kind: str, colour: str) -> str:
    """("person", "red") -> "a person in red"; ("car", "red") -> "a red car"; a colour of "" is left out."""
    if kind in RARE_NAMES:
        return RARE_NAMES[kind]
    if not colour:
        return f"a {kind}"
    return f"a person in {colour}" if kind == "person" else f"a {colour} {kind}"


def name_with(article: str, kind: str, colour: str) -> str:
    """`name_thing` with "the" or "no" in place of "a"."""
    name = name_thing(kind, colour)
    return f"{article} {name.removeprefix('a ')}"


def listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def describe(state: YardState) -> str:
    """Everything in the yard, in the fixed order of its kinds."""
    names = [name_thing(kind, colour) for kind, colour in state.named()]
    return f"I see {listed(names)}." if names else EMPTY


def note(state: YardState) -> str:
    """The one line that the checkpoint is to write about a moment."""
    names = [name_thing(kind, colour) for kind, colour in state.named()]
    gate, lamp = "open" if state.gate_open else "closed", "on" if state.lamp_on else "off"
    first = listed(names) if names else "nobody"
    return f"{first[0].upper()}{first[1:]}; gate {gate}, lamp {lamp}, {'night' if state.is_night else 'day'}."


def at_clock(time_seconds: float) -> str:
    """ "at 14:05" by the local clock, the minute that has begun, as the burnt-in clock and the prompt show it."""
    return f"at {datetime.fromtimestamp(time_seconds):%H:%M}"


def from_to(start_seconds: float, end_seconds: float) -> str:
    """ "from 14:03:05 to 14:03:45, 40 seconds", "from 14:03:05 to 14:15:10, 12 minutes"; times as in a prompt."""
    start, end = (f"{datetime.fromtimestamp(seconds):%H:%M:%S}" for seconds in (start_seconds, end_seconds))
    length_seconds = end_seconds - start_seconds
    if length_seconds < SHORT_SECONDS:
        return f"from {start} to {end}, {max(10, round(length_seconds / 10) * 10)} seconds"
    return f"from {start} to {end}, {round(length_seconds / 60)} minutes"


def named_in(answer: str) -> Counter[tuple[str, str]]:
    """The (kind, colour) pairs that an answer in the form of `describe` names; what is not in that form counts not."""
    return Counter(_read_name(name) for name in re.findall(_NAME, answer, re.IGNORECASE))


def facts_in(answer: str) -> list[tuple[tuple[str, str], int]]:
    """((kind, colour), minute of the day) of each "a red car at 14:05" in a summary."""
    found = re.findall(rf"({_NAME}) at (\d\d):(\d\d)\b", answer, re.IGNORECASE)
    return [(_read_name(name), int(hour) * 60 + int(minute)) for name, hour, minute in found]


def _read_name(name: str) -> tuple[str, str]:
    name = name.lower()
    for kind in RARE_KINDS:
        if name == RARE_NAMES[kind]:
            return kind, ""
    first, *_, last = name.removeprefix("a ").split()
    return ("person", last) if first == "person" else (last, first)
