"""Questions about the yard with exact answers from its truth: what the checkpoint learns and is judged by."""

from __future__ import annotations

import numpy as np

from streamer.yard import wordings
from streamer.yard.answers import CANNOT_KNOW, EMPTY, NOT_THE_YARD, NOTHING_CAME, describe, named_in, note
from streamer.yard.light import day_of, midnight_seconds
from streamer.yard.marking import SummaryScore, is_right, score_summary
from streamer.yard.past import (
    NothingToAsk,
    YardQuestion,
    draw_duration,
    draw_never,
    draw_past,
    draw_recent,
    draw_summary,
)
from streamer.yard.present import Exchange, draw_description, draw_exchange, draw_now, pick
from streamer.yard.typos import with_typos
from streamer.yard.watched import Watched, watch
from streamer.yard.wordings import CLASSES
from streamer.yard.world import RARE_KINDS, World, YardState

__all__ = [
    "CANNOT_KNOW",
    "CLASSES",
    "DESCRIBE",
    "EMPTY",
    "NOTHING_CAME",
    "NOT_THE_YARD",
    "Exchange",
    "NothingToAsk",
    "SummaryScore",
    "YardQuestion",
    "ask",
    "describe",
    "draw_exchange",
    "draw_moment",
    "draw_question",
    "is_right",
    "named_in",
    "note",
    "score_summary",
    "with_typos",
]

DESCRIBE = wordings.DESCRIBE.train
DESCRIBE_SHARE = 0.2
"""Of the questions about now, so many ask for all that is there; of an empty yard fewer."""
CLASS_SHARES = {
    "now": 0.28,
    "recent": 0.15,
    "past": 0.22,
    "duration": 0.1,
    "never": 0.1,
    "unknowable": 0.05,
    "summary": 0.1,
}
_DRAW = {
    "recent": draw_recent,
    "past": draw_past,
    "duration": draw_duration,
    "never": draw_never,
    "summary": draw_summary,
}


def draw_question(
    world: World,
    since_seconds: float,
    now_seconds: float,
    rng: np.random.Generator,
    *,
    klass: str | None = None,
    held_out: bool = False,
) -> YardQuestion:
    """A question asked at `now_seconds` of a memory that covers [since, now], of class `klass` or of any.

    Raises: NothingToAsk where the moment has no fair question of `klass`: nothing came that memory can know, or an
    answer that is frequent is left out now and then, so that the question alone does not tell it. Never without klass.
    """
    return ask(
        world.state_at(now_seconds),
        watch(world, since_seconds, now_seconds),
        rng,
        klass=klass,
        held_out=held_out,
    )


def ask(
    state: YardState, watched: Watched, rng: np.random.Generator, *, klass: str | None = None, held_out: bool = False
) -> YardQuestion:
    """`draw_question` of a truth that is at hand: the state now, and what memory can know of the time before."""
    if klass is not None:
        return _draw(klass, state, watched, rng, held_out=held_out)
    for place in rng.choice(len(CLASSES), size=len(CLASSES), replace=False, p=[CLASS_SHARES[name] for name in CLASSES]):
        try:
            return _draw(CLASSES[int(place)], state, watched, rng, held_out=held_out)
        except NothingToAsk:
            continue
    raise AssertionError("what cannot be known can always be asked")


def draw_moment(world: World, day_seconds: float, rng: np.random.Generator) -> float:
    """A time of the local day that holds `day_seconds`: mostly while something is there or was a minute before."""
    start_seconds = midnight_seconds(day_of(day_seconds))
    moment_seconds = start_seconds + float(rng.uniform(0, 86_400))
    if rng.random() < 0.3:
        return moment_seconds
    events = world.events(start_seconds, start_seconds + 80_000)
    inside = [event for event in events if event.start_seconds > start_seconds]
    rare = [event for event in inside if event.kind in RARE_KINDS]
    if rare and rng.random() < 0.25:
        inside = rare
    if not inside:
        return moment_seconds
    event = inside[int(rng.integers(len(inside)))]
    until_seconds = min(event.end_seconds, event.start_seconds + 600) + 45
    return min(float(rng.uniform(event.start_seconds, until_seconds)), start_seconds + 86_399)


def _draw(klass: str, state: YardState, watched: Watched, rng: np.random.Generator, *, held_out: bool) -> YardQuestion:
    if klass == "unknowable":
        return YardQuestion(pick(wordings.UNKNOWABLE.of(held_out=held_out), rng), klass, CANNOT_KNOW, 0.0)
    if klass == "now":
        share = DESCRIBE_SHARE if state.things else DESCRIBE_SHARE / 3
        draw = draw_description if rng.random() < share else draw_now
        exchange = draw(state, rng, held_out=held_out)
        return YardQuestion(exchange.question, klass, exchange.answer, 0.0)
    if klass not in _DRAW:
        raise ValueError(f"class must be one of {', '.join(CLASSES)}, got {klass}")
    return _DRAW[klass](watched, rng, held_out=held_out)
