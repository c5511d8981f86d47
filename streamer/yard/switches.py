"""When the gate is open and the lamp on, as follows from who passes and from the sun."""

from __future__ import annotations

from random import Random

from streamer.yard.light import SUNSET_HOUR, clock_seconds, daylight
from streamer.yard.visits import Span, Visit, merged

LEFT_OPEN_SHARE = 0.25
LAMP_BY_DAY_SHARE = 0.6
_MERGE_SECONDS = 4.0


def gate_spans(rng: Random, passages: list[Span], bounds: Span, *, latest_seconds: float) -> tuple[Span, ...]:
    """Open while somebody passes; sometimes left open until the next one closes it, or a resident does at last."""
    passages = merged(passages, gap_seconds=_MERGE_SECONDS)
    spans = []
    for place, passage in enumerate(passages):
        end_seconds = passage.end_seconds
        if rng.random() < LEFT_OPEN_SHARE and end_seconds < latest_seconds:
            end_seconds = min(end_seconds + 60 * 3 * 20 ** rng.random(), max(end_seconds, latest_seconds))
            if place + 1 < len(passages) and passages[place + 1].start_seconds < end_seconds:
                end_seconds = passages[place + 1].end_seconds
        spans.append(_within(Span(passage.start_seconds, end_seconds), bounds))
    return tuple(merged(spans, gap_seconds=_MERGE_SECONDS))


def lamp_spans(rng: Random, people: list[Visit], bounds: Span, day: int) -> tuple[Span, ...]:
    """On from dusk to about 23:30, again for minutes when somebody comes in the dark; some days left on by day."""
    dusk, bedtime = SUNSET_HOUR + rng.uniform(-0.25, 0.25), 23.5 + rng.uniform(-0.2, 0.2)
    spans = [Span(clock_seconds(day, dusk), clock_seconds(day, bedtime))]
    for person in sorted(people, key=lambda visit: visit.start_seconds):
        minutes = rng.uniform(2, 4)
        if daylight(person.start_seconds) < 0.5:
            spans.append(Span(person.start_seconds + 1, person.end_seconds + 60 * minutes))
    if rng.random() < LAMP_BY_DAY_SHARE:
        hour = rng.uniform(8, 17)
        spans.append(Span(clock_seconds(day, hour), clock_seconds(day, hour + rng.uniform(0.2, 1.5))))
    return tuple(merged([_within(span, bounds) for span in spans], gap_seconds=_MERGE_SECONDS))


def _within(span: Span, bounds: Span) -> Span:
    return Span(max(span.start_seconds, bounds.start_seconds), min(span.end_seconds, bounds.end_seconds))
