"""An hour of a world, asked about when days have passed: from the archive, and from what long-term memory still has."""

from __future__ import annotations

import asyncio
import pickle
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np

from benchmarks.harness import bundled
from benchmarks.recall.asking import SAMPLING_FPS, questions_of
from benchmarks.recall.seen import sightings_of
from llm.huggingface import HuggingFaceModel
from memory import Archive, Evidence, Memory, Moment
from streamer.archived import recall_archived
from streamer.archiving import MOST_RESTORED
from streamer.device import DeviceThread
from streamer.model_memory import kind_of
from streamer.times import Span
from streamer.yard.exam import answer_from, answer_to, memory_for
from streamer.yard.questions import YardQuestion, draw_moment, is_right
from streamer.yard.sightings import Sighting
from streamer.yard.world import World

CLASSES = ("recent", "past", "never")
HOUR_SECONDS, OTHERS_SECONDS = 3600.0, 4 * 3600.0
OTHERS_SEED = 9_190
LATER_SECONDS = (0.0, 86_400.0, 7 * 86_400.0)
WAYS = ("archive", "long-term memory")


@dataclass(frozen=True)
class LaterJob:
    """World `number` of a run with `seed`; encoded frames stay in `cache`."""

    seed: int
    number: int
    cache: Path


@dataclass(frozen=True)
class AskedLater:
    """How a question was answered, by how much later it was and by way: 1 right, 0 wrong."""

    klass: str
    right: dict[tuple[float, str], bool]


def do_later(job: LaterJob) -> list[AskedLater]:
    """In a process of `harness.processes`. An hour ends, questions about it are drawn, and asked now and ever later.

    What comes later is another yard's four hours, over and over. Each time the question is put as if it were the end of
    its hour: to the archive, and to what long-term memory, made anew from the archive as at a start, has of the time up
    to then.
    """
    model = bundled()
    rng = np.random.default_rng([job.seed, job.number, 24])
    world = World(job.seed % 90 * 100 + job.number % 100)  # below the seeds of training
    then_seconds = draw_moment(world, datetime(2026, 1, 1).timestamp() + rng.uniform(1, 350) * 86_400, rng)
    since_seconds = then_seconds - HOUR_SECONDS
    questions = list(questions_of(world, since_seconds, then_seconds, CLASSES, rng))
    seen = sightings_of(
        world,
        model.encoder,
        since_seconds=since_seconds,
        until_seconds=then_seconds,
        fps=SAMPLING_FPS,
        cache=job.cache,
    )
    others = read_others(job.cache)
    with tempfile.TemporaryDirectory() as folder, Archive(Path(folder), encoder=kind_of(model)) as archive:
        memory = memory_for(model)
        archive.add("yard", list(consolidated(memory, seen)), now_seconds=then_seconds)
        written_seconds = then_seconds + 1.0
        rights: list[dict[tuple[float, str], bool]] = [{} for _ in questions]
        for later_seconds in LATER_SECONDS:
            while written_seconds + OTHERS_SECONDS <= then_seconds + later_seconds + 1.0:
                by_seconds = written_seconds - others[0].start_seconds
                archive.add("yard", [_later(each, by_seconds) for each in others], now_seconds=written_seconds)
                written_seconds += OTHERS_SECONDS
            told = asyncio.run(_from_archive(model, Path(folder), questions, then_seconds))
            has = _has_still(model, archive, memory, then_seconds, then_seconds + later_seconds)
            for right, question, answer in zip(rights, questions, told, strict=True):
                right[later_seconds, WAYS[0]] = is_right(question, answer)
                right[later_seconds, WAYS[1]] = is_right(question, has(question.text))
    return [AskedLater(question.klass, right) for question, right in zip(questions, rights, strict=True)]


def write_others(cache: Path) -> None:
    """What the days are filled with, once: four hours of another yard from noon on, as moments."""
    file = _others_file(cache)
    if file.is_file():
        return
    model = bundled()
    half_written = file.with_suffix(".part")
    half_written.write_bytes(pickle.dumps(list(consolidated(memory_for(model), others_seen(model, cache)))))
    half_written.replace(file)


def others_seen(model: HuggingFaceModel, cache: Path) -> list[Sighting]:
    since_seconds = datetime(2026, 6, 1, 12).timestamp()
    return sightings_of(
        World(OTHERS_SEED),
        model.encoder,
        since_seconds=since_seconds,
        until_seconds=since_seconds + OTHERS_SECONDS,
        fps=SAMPLING_FPS,
        cache=cache,
    )


def read_others(cache: Path) -> list[Moment]:
    """Of a file that this benchmark wrote itself."""
    moments: list[Moment] = pickle.loads(_others_file(cache).read_bytes())
    return moments


def _others_file(cache: Path) -> Path:
    return cache / "others.pickle"


def consolidated(memory: Memory, seen: Sequence[Sighting]) -> Iterator[Moment]:
    """As an agent does it: what goes into long-term memory, and at the end what is in the ring."""
    for place, sighting in enumerate(seen):
        seconds, is_last = sighting.time_seconds, place == len(seen) - 1
        if sighting.tokens is None:
            memory.extend(0, start_seconds=seconds, end_seconds=seconds)
        else:
            memory.push(0, sighting.tokens, time_seconds=seconds)
        for _, moments in memory.moments(memory.consolidate([seconds], flush=is_last)):
            yield from moments


def _later(moment: Moment, seconds: float) -> Moment:
    return replace(moment, start_seconds=moment.start_seconds + seconds, end_seconds=moment.end_seconds + seconds)


async def _from_archive(
    model: HuggingFaceModel, folder: Path, questions: Sequence[YardQuestion], then_seconds: float
) -> list[str]:
    answers = []
    async with DeviceThread() as device:
        for question in questions:
            archived = await recall_archived(model, device, folder, "yard", question.text, Span(then_seconds))
            answers.append(answer_to(model, archived.evidence, question.text))
    return answers


def _has_still(
    model: HuggingFaceModel, archive: Archive, live: Memory, then_seconds: float, now_seconds: float
) -> Callable[[str], str]:
    """A function that answers from what is in long-term memory of the time up to then."""
    if now_seconds == then_seconds:
        return lambda text: answer_from(model, live, text, then_seconds)
    memory = memory_for(model)
    memory.restore(0, archive.newest("yard", most=MOST_RESTORED, until_seconds=now_seconds))

    def answer(text: str) -> str:
        slots = model.max_slots(text, camera="yard", reach=memory.reach(0, now_seconds=now_seconds))
        evidence = memory.recall(0, now_seconds=now_seconds, max_slots=slots)
        return answer_to(model, _until(evidence, then_seconds), text)

    return answer


def _until(evidence: Evidence, then_seconds: float) -> Evidence:
    """The slots that had begun by then, as if it were then."""
    slots = tuple(slot for slot in evidence.slots if slot.start_seconds <= then_seconds)
    newest_seconds = min(slots[-1].end_seconds, then_seconds) if slots else None
    return replace(
        evidence,
        now_seconds=then_seconds,
        tokens=evidence.tokens[: len(slots)],
        slots=slots,
        gaps=(),
        newest_seconds=newest_seconds,
        frame_age_seconds=None if newest_seconds is None else then_seconds - newest_seconds,
    )
