"""Questions about the yard with exact answers from its truth: what the checkpoint learns and is judged by."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np

from streamer.yard.world import COLOUR_NAMES, COLOURS, KINDS, YardState

PLURAL = {
    "person": "people",
    "dog": "dogs",
    "car": "cars",
    "truck": "trucks",
    "bicycle": "bicycles",
    "parcel": "parcels",
}
NUMBER = ("no", "one", "two", "three", "four", "five")

DESCRIBE = (
    "What is in the yard now?",
    "What is happening?",
    "What do you see?",
    "What can you see right now?",
    "Describe the yard.",
    "What's going on?",
    "What is there at the moment?",
    "Tell me what you see now.",
    "Who and what is in the yard?",
    "what is happening now",
)
PRESENCE = (
    "Is there {a_thing}?",
    "Do you see {a_thing}?",
    "Is {a_thing} there now?",
    "Can you see {a_thing}?",
    "any {things}?",
)
PRESENCE_PAINTED = (
    "Is there {a_painted}?",
    "Do you see {a_painted}?",
    "Is {a_painted} there now?",
    "Can you see {a_painted}?",
)
COUNT = (
    "How many {things} are there?",
    "How many {things} do you see?",
    "How many {things} are in the yard now?",
    "Count the {things}.",
    "how many {things}",
)
COLOUR = (
    "What colour is the {thing}?",
    "What color is the {thing}?",
    "Which colour has the {thing}?",
    "the {thing}, what colour?",
)
GATE = (
    "Is the gate open?",
    "Is the gate closed?",
    "Is the gate open or closed?",
    "How is the gate?",
    "Did someone leave the gate open?",
)
LAMP = (
    "Is the lamp on?",
    "Is the light on?",
    "Is the door lamp on or off?",
    "Is the lamp off?",
    "Is the light at the door on?",
)
DAY = ("Is it day or night?", "Is it dark?", "Is it night?", "Is it day?", "Is it light outside?")
UNKNOWABLE = (
    "What is his name?",
    "Who is that?",
    "What is the number plate?",
    "What are they talking about?",
    "How old is the driver?",
    "Where does the car come from?",
    "What is in the parcel?",
    "What do they think?",
)
EARLIER = (
    "What happened earlier?",
    "What happened an hour ago?",
    "When did the car come?",
    "Who came first?",
    "Was there a dog this morning?",
    "How long was the gate open?",
    "What happened in the last minute?",
    "What did you see yesterday?",
)

CANNOT_KNOW = "I cannot know that from the pictures."
ONLY_NOW = "I have learned to tell only what is in the yard now."
NOT_THE_YARD = "This is not the yard. I know only the built-in yard, so I cannot tell."
EMPTY = "The yard is empty."


@dataclass(frozen=True)
class Exchange:
    """A question and its true answer."""

    question: str
    answer: str


def name_thing(kind: str, colour: str) -> str:
    """("person", "red") -> "a person in red"; ("car", "red") -> "a red car"."""
    return f"a person in {colour}" if kind == "person" else f"a {colour} {kind}"


def listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


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


def named_in(answer: str) -> Counter[tuple[str, str]]:
    """The (kind, colour) pairs that an answer in the form of `describe` names; what is not in that form counts not."""
    colours, kinds = "|".join(COLOUR_NAMES), "|".join(kind for kind in KINDS if kind != "person")
    people = re.findall(rf"\ba person in ({colours})\b", answer)
    things = re.findall(rf"\ba ({colours}) ({kinds})\b", answer)
    return Counter([("person", colour) for colour in people] + [(kind, colour) for colour, kind in things])


def draw_exchange(state: YardState, rng: np.random.Generator) -> Exchange:
    """One of the questions other than `DESCRIBE`, balanced so that the question alone does not give its answer away."""
    draw = rng.random()
    if draw < 0.22:
        return _presence(state, rng)
    if draw < 0.46:
        return _count(state, rng)
    if draw < 0.62:
        return _colour(state, rng)
    if draw < 0.74:
        return Exchange(_pick(GATE, rng), f"The gate is {'open' if state.gate_open else 'closed'}.")
    if draw < 0.84:
        return Exchange(_pick(LAMP, rng), f"The lamp is {'on' if state.lamp_on else 'off'}.")
    if draw < 0.92:
        return Exchange(_pick(DAY, rng), f"It is {'night' if state.is_night else 'day'}.")
    if draw < 0.96:
        return Exchange(_pick(UNKNOWABLE, rng), CANNOT_KNOW)
    return Exchange(_pick(EARLIER, rng), ONLY_NOW)


def _presence(state: YardState, rng: np.random.Generator) -> Exchange:
    there = state.named()
    kind, colour = _some_thing(there, rng)
    of_kind = [name for name in there if name[0] == kind]
    if rng.random() < 0.5:
        question = _pick(PRESENCE, rng).format(a_thing=f"a {kind}", things=PLURAL[kind])
        yes = f"Yes, {listed([name_thing(*name) for name in of_kind])}." if of_kind else ""
        return Exchange(question, yes or f"No, I see no {kind}.")
    painted = name_thing(kind, colour)
    question = _pick(PRESENCE_PAINTED, rng).format(a_painted=painted)
    return Exchange(question, f"Yes, {painted}." if (kind, colour) in of_kind else f"No, I do not see {painted}.")


def _count(state: YardState, rng: np.random.Generator) -> Exchange:
    there = state.named()
    kind, _ = _some_thing(there, rng)
    num = sum(1 for name in there if name[0] == kind)
    what = kind if num == 1 else PLURAL[kind]
    return Exchange(
        _pick(COUNT, rng).format(things=PLURAL[kind]), f"There {'is' if num == 1 else 'are'} {NUMBER[num]} {what}."
    )


def _colour(state: YardState, rng: np.random.Generator) -> Exchange:
    there = state.named()
    kind, _ = _some_thing(there, rng, absent_share=0.2)
    colours = [colour for name, colour in there if name == kind]
    question = _pick(COLOUR, rng).format(thing=kind)
    if not colours:
        return Exchange(question, f"I see no {kind}.")
    if len(colours) == 1:
        return Exchange(question, f"The {kind} is {'in ' if kind == 'person' else ''}{colours[0]}.")
    return Exchange(question, f"I see {listed([name_thing(kind, colour) for colour in colours])}.")


def _some_thing(
    there: list[tuple[str, str]], rng: np.random.Generator, *, absent_share: float = 0.5
) -> tuple[str, str]:
    """One of the things that are there, or, with a chance of `absent_share`, any thing that could be."""
    if there and rng.random() >= absent_share:
        return there[int(rng.integers(len(there)))]
    kind = _pick(KINDS, rng)
    return kind, _pick(COLOURS[kind], rng)


def _pick(choices: tuple[str, ...], rng: np.random.Generator) -> str:
    return choices[int(rng.integers(len(choices)))]
