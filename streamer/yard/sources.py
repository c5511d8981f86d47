"""From which slot each word of an answer comes, where that is one: what the helper asks the words for."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from memory import Evidence
from streamer.yard.past import YardQuestion

NOTHING_MORE = -1
_IN_ORDER = ("recent", "summary", "duration")
"""Classes whose answers go from what was told to what came, or ended, next."""
_TIME = re.compile(r"\d\d:\d\d(:\d\d)?")
_NEXT_NAME = re.compile(r"(?<!Yes), | and |\.$")


class Source(NamedTuple):
    """Where one word of an answer comes from.

    place      of the token before it
    slot       with which the thing that it tells began or, where its end is told, was gone; NOTHING_MORE behind a list
    is_next    it is of what is told behind something else, and found from that; not by its name and number
    hour, minute, second  of that beginning or end, told or not
    """

    place: int
    slot: int
    is_next: bool
    hour: int
    minute: int
    second: int


def sources(question: YardQuestion, offsets: Sequence[int], evidence: Evidence) -> Iterator[Source]:
    """Of an answer whose token k begins at character `offsets[k]`; `place` -1 is before the first token."""
    ends = _ends_of_told(question)
    slots = [_slot_told(question, number, evidence) for number in range(len(ends))]
    for token, start in enumerate(offsets):
        told = bisect_right(ends, start)
        if told == len(ends):
            if ends and _is_list(question):  # the one that ends it
                yield Source(token - 1, NOTHING_MORE, question.klass in _IN_ORDER, 0, 0, 0)
            return
        slot = slots[told]
        if slot is not None:
            clock = datetime.fromtimestamp(question.told_seconds[told])
            is_next = told > 0 and question.klass in _IN_ORDER
            yield Source(token - 1, slot, is_next, clock.hour, clock.minute, clock.second)


def _ends_of_told(question: YardQuestion) -> list[int]:
    """Where in the answer each thing has been told: behind its time or, where none is told, behind its name."""
    if not question.told_seconds:
        return []
    times = [found.end() for found in _TIME.finditer(question.answer)]
    return times or [found.start() for found in _NEXT_NAME.finditer(question.answer)]


def _is_list(question: YardQuestion) -> bool:
    return question.klass in ("recent", "summary") or question.answer.startswith("At ")


def _slot_told(question: YardQuestion, told: int, evidence: Evidence) -> int | None:
    """The slot that begins when what is told began, or had gone."""
    if told >= len(question.told_seconds):
        return None
    is_told = [abs(slot.start_seconds - question.told_seconds[told]) < 0.01 for slot in evidence.slots]
    return is_told.index(True) if any(is_told) else None
