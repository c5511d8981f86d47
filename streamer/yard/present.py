"""Questions about the present moment, whose answers follow from one state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from streamer.yard import wordings
from streamer.yard.answers import CANNOT_KNOW, NUMBER, PLURAL, describe, listed, name_thing, name_with
from streamer.yard.things import COLOURS, KINDS, RARE_KINDS, YardState
from streamer.yard.wordings import Wordings

UNKNOWABLE_SHARE = 0.06
RARE_SHARE = 0.06
COUSINS = {"person": "climber", "bicycle": "fallen bicycle"}
"""A person on the fence is a person too, a fallen bicycle a bicycle."""


@dataclass(frozen=True)
class Exchange:
    """A question and its true answer."""

    question: str
    answer: str


def draw_exchange(state: YardState, rng: np.random.Generator, *, held_out: bool = False) -> Exchange:
    """A question about now, other than what is there, or one that no picture answers."""
    if rng.random() < UNKNOWABLE_SHARE:
        return Exchange(pick(wordings.UNKNOWABLE.of(held_out=held_out), rng), CANNOT_KNOW)
    return draw_now(state, rng, held_out=held_out)


def draw_now(state: YardState, rng: np.random.Generator, *, held_out: bool) -> Exchange:
    """Rarer states are asked about more often, so that the question alone does not give its answer away."""
    chances: tuple[tuple[Callable[..., Exchange], float], ...] = (
        (_presence, 0.26),
        (_count, 0.26),
        (_colour, 0.24 if state.things else 0.03),
        (_gate, 0.24 if state.gate_open else 0.06),
        (_lamp, 0.14 if state.lamp_on else 0.05),
        (_day, 0.12 if state.is_night else 0.04),
    )
    weights = np.array([chance for _, chance in chances])
    ask = chances[int(rng.choice(len(chances), p=weights / weights.sum()))][0]
    return ask(state, rng, held_out=held_out)


def draw_description(state: YardState, rng: np.random.Generator, *, held_out: bool) -> Exchange:
    return Exchange(pick(wordings.DESCRIBE.of(held_out=held_out), rng), describe(state))


def pick(choices: tuple[str, ...], rng: np.random.Generator) -> str:
    return choices[int(rng.integers(len(choices)))]


def _presence(state: YardState, rng: np.random.Generator, *, held_out: bool) -> Exchange:
    kind, colour = _some_thing(state.named(), rng)
    templates = wordings.PRESENCE.of(held_out=held_out)
    if kind in RARE_KINDS:
        return _presence_of(state, kind, "", pick(templates, rng))
    if rng.random() < 0.5:
        templates += wordings.PRESENCE_OF_ANY.of(held_out=held_out)
        return _presence_of(state, kind, "", pick(templates, rng))
    return _presence_of(state, kind, colour, pick(templates, rng))


def _presence_of(state: YardState, kind: str, colour: str, template: str) -> Exchange:
    question = template.format(a=name_thing(kind, colour), things=PLURAL.get(kind, ""))
    there = [name for name in _of_kind(state, kind) if not colour or name == (kind, colour)]
    if there:
        return Exchange(question, f"Yes, {listed([name_thing(*name) for name in there])}.")
    if colour:
        return Exchange(question, f"No, I do not see {name_thing(kind, colour)}.")
    return Exchange(question, f"No, I see {name_with('no', kind, colour)}.")


def _count(state: YardState, rng: np.random.Generator, *, held_out: bool) -> Exchange:
    kind, _ = _some_thing(state.named(), rng, rare_share=0.0)
    num = len(_of_kind(state, kind))
    what = kind if num == 1 else PLURAL[kind]
    question = pick(wordings.COUNT.of(held_out=held_out), rng).format(things=PLURAL[kind])
    return Exchange(question, f"There {'is' if num == 1 else 'are'} {NUMBER[num]} {what}.")


def _colour(state: YardState, rng: np.random.Generator, *, held_out: bool) -> Exchange:
    kind, _ = _some_thing(state.named(), rng, absent_share=0.2, rare_share=0.0)
    question = pick(wordings.COLOUR.of(held_out=held_out), rng).format(thing=kind)
    there = [name for name in state.named() if name[0] == kind]
    if not there:
        return Exchange(question, f"I see no {kind}.")
    if len(there) == 1:
        return Exchange(question, f"The {kind} is {'in ' if kind == 'person' else ''}{there[0][1]}.")
    return Exchange(question, f"I see {listed([name_thing(*name) for name in there])}.")


def _gate(state: YardState, rng: np.random.Generator, *, held_out: bool) -> Exchange:
    return _either(wordings.GATE, f"The gate is {'open' if state.gate_open else 'closed'}.", rng, held_out=held_out)


def _lamp(state: YardState, rng: np.random.Generator, *, held_out: bool) -> Exchange:
    return _either(wordings.LAMP, f"The lamp is {'on' if state.lamp_on else 'off'}.", rng, held_out=held_out)


def _day(state: YardState, rng: np.random.Generator, *, held_out: bool) -> Exchange:
    return _either(wordings.DAY, f"It is {'night' if state.is_night else 'day'}.", rng, held_out=held_out)


def _either(asked: Wordings, answer: str, rng: np.random.Generator, *, held_out: bool) -> Exchange:
    return Exchange(pick(asked.of(held_out=held_out), rng), answer)


def _of_kind(state: YardState, kind: str) -> list[tuple[str, str]]:
    return [name for name in state.named() if name[0] in (kind, COUSINS.get(kind))]


def _some_thing(
    there: list[tuple[str, str]], rng: np.random.Generator, *, absent_share: float = 0.5, rare_share: float = RARE_SHARE
) -> tuple[str, str]:
    """One of the things that are there, or, with a chance of `absent_share`, any thing that could be."""
    if not rare_share:
        there = [name for name in there if name[0] in KINDS]
    if there and rng.random() >= absent_share:
        return there[int(rng.integers(len(there)))]
    if rng.random() < rare_share:
        return pick(RARE_KINDS, rng), ""
    kind = pick(KINDS, rng)
    return kind, pick(COLOURS[kind], rng)
