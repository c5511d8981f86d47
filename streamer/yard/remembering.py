"""The last stage of training: many questions about one memory, asked side by side, each as if it were the only one.

A memory's prompt is long and is read once; its questions follow it in one sequence, and a mask keeps each of them from
the others. The eyes are fixed: memories were encoded before.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import IterableDataset

from llm.huggingface import HuggingFaceModel
from llm.prompt import NOTE_REQUEST, conversation
from memory import Evidence
from streamer.yard.histories import Snapshot, load_history
from streamer.yard.lessons import IGNORED, draw_camera
from streamer.yard.questions import NothingToAsk, YardQuestion, ask, note, with_typos
from streamer.yard.shown import shown
from streamer.yard.side_by_side import positions_and_mask, side_by_side
from streamer.yard.watched import Watched

QUESTIONS = 28
TOKENS_PER_BATCH = 5_600
MAX_PER_BATCH = 16
FILES_AT_ONCE = 24
LONGEST_MEMORIES = ((0, 5), (250, 12), (1000, 28), (2600, 64))
"""(from this batch on, slots of the longest memory)."""
FULL_SLOTS, FULL_COMINGS = 24, 2
"""A memory with so many slots and comings is always asked about: there is something to find, and to take it from."""
EASY_SHARE, QUIET_SHARE = 0.15, 0.06
"""Of the others so many, and of those in which nothing came."""
TYPO_SHARE = 0.15
NOTE_SHARE = 0.06
CLASS_SHARES = {
    "now": 0.14,
    "recent": 0.14,
    "past": 0.36,
    "duration": 0.11,
    "never": 0.1,
    "unknowable": 0.03,
    "summary": 0.12,
}
_NEXT_TOLD = re.compile(r"(?<!Yes), | and ")
_TIME_TOLD = re.compile(r"\b(?:at|from|to) (?=\d)", re.IGNORECASE)
PRESENT = ("now", "now", "now", "unknowable")


@dataclass(frozen=True)
class Written:
    """One memory and its questions as one sequence.

    ids, labels   int64 [L]
    starts        where each question begins in it; before the first is the memory
    tokens        float16 [S, N, W]
    clock         int64 [S, 2]: hour and minute at which each slot starts
    present       float32 [S, NUM_ASKED]: what each slot shows
    arrived       float32 [S, NUM_ASKED]: what came in it
    sources       int64 [K, 2]: (where a thing or its time is told next, the slot in which it came), where that is one
    """

    ids: Tensor
    labels: Tensor
    starts: tuple[int, ...]
    tokens: Tensor
    clock: Tensor
    present: Tensor
    arrived: Tensor
    sources: Tensor


class MemoryLessons(IterableDataset[list[Written]]):
    """Batches of about equally long memories, for ever, from the histories in `paths`; questions are drawn anew."""

    def __init__(self, model: HuggingFaceModel, paths: Sequence[Path], *, seed: int, num_before: int = 0) -> None:
        self._model, self._paths, self._seed, self._num_before = model, list(paths), seed, num_before

    def __iter__(self) -> Iterator[list[Written]]:
        """Raises: ValueError where no memory is to be learned from."""
        worker = torch.utils.data.get_worker_info()
        rng = np.random.default_rng([self._seed, worker.id if worker else 0])
        number = self._num_before
        while True:
            number_before = number
            order = [self._paths[int(place)] for place in rng.permutation(len(self._paths))]
            for first in range(0, len(order), FILES_AT_ONCE):
                most_slots = max(slots for since, slots in LONGEST_MEMORIES if number >= since)
                for batch in self._batches(order[first : first + FILES_AT_ONCE], rng, most_slots):
                    number += 1
                    yield batch
            if number == number_before:  # none is that short
                longer = [since for since, _ in LONGEST_MEMORIES if since > number]
                if not longer:
                    raise ValueError(f"there is nothing to remember in {len(self._paths)} histories")
                number = longer[0]

    def _batches(self, paths: Sequence[Path], rng: np.random.Generator, most_slots: int) -> Iterator[list[Written]]:
        written = [
            write(self._model, snapshot, rng)
            for path in paths
            for snapshot in load_history(path)
            if len(snapshot.evidence.slots) <= most_slots and rng.random() < _share(snapshot, most_slots)
        ]
        written.sort(key=lambda each: len(each.ids))
        batches: list[list[Written]] = []
        for each in written:
            num_next = len(batches[-1]) + 1 if batches else math.inf
            if num_next * len(each.ids) > TOKENS_PER_BATCH or num_next > MAX_PER_BATCH:
                batches.append([])
            batches[-1].append(each)
        for place in rng.permutation(len(batches)):
            yield batches[int(place)]


def _share(snapshot: Snapshot, most_slots: int) -> float:
    """How often it is asked about."""
    num_came = len(snapshot.watched.came)
    if not num_came:
        return QUIET_SHARE
    is_full = len(snapshot.evidence.slots) >= min(FULL_SLOTS, most_slots // 2) and num_came >= FULL_COMINGS
    return 1.0 if is_full else EASY_SHARE


def write(model: HuggingFaceModel, snapshot: Snapshot, rng: np.random.Generator) -> Written:
    """A snapshot's memory with questions of all classes, as the model will read them."""
    evidence = snapshot.evidence
    truth = shown(snapshot.watched, evidence.slots)
    camera = draw_camera(rng)
    mark = "?"
    prompt = model.prompt_ids(conversation(evidence, mark, camera=camera))
    ids = prompt[: len(prompt) - len(asked_ids(model, mark))]
    labels, starts, sources = [IGNORED] * len(ids), [], []
    for question in draw_questions(snapshot, truth.watched, rng):
        starts.append(len(ids))
        asked = asked_ids(model, question.text)
        encoded = model.tokenizer(f" {question.answer}", add_special_tokens=False, return_offsets_mapping=True)
        said = [*encoded.input_ids, model.tokenizer.eos_token_id]
        ids = ids + asked + said
        answer_start = starts[-1] + len(asked)
        for place, told in _places_of_told(question.answer, [start - 1 for start, _ in encoded.offset_mapping]):
            slot = _slot_told(question, told, evidence)
            if slot is not None:
                sources.append((answer_start + place, slot))
        labels += [IGNORED] * len(asked) + said
    clocks = [datetime.fromtimestamp(slot.start_seconds) for slot in evidence.slots]
    return Written(
        torch.tensor(ids),
        torch.tensor(labels),
        tuple(starts),
        evidence.tokens,
        clock=torch.tensor([[clock.hour, clock.minute] for clock in clocks]),
        present=truth.present.float(),
        arrived=truth.arrived.float(),
        sources=torch.tensor(sources, dtype=torch.int64).view(-1, 2),
    )


def _places_of_told(answer: str, offsets: Sequence[int]) -> Iterator[tuple[int, int]]:
    """(token of the answer, number of the thing that is told next): before each thing, and before its time.

    `offsets` of the answer's tokens in its text; -1 is the token before the first.
    """
    yield -1, 0
    for number, found in enumerate(_NEXT_TOLD.finditer(answer), start=1):
        yield bisect_right(offsets, found.end() - 2) - 1, number
    for number, found in enumerate(_TIME_TOLD.finditer(answer)):
        yield bisect_right(offsets, found.start()) - 1, number


def _slot_told(question: YardQuestion, told: int, evidence: Evidence) -> int | None:
    """The slot that begins, or where a duration ends, ends with what is told."""
    if told >= len(question.told_seconds):
        return None
    is_end = question.klass == "duration" and told == 1
    edges = [slot.end_seconds if is_end else slot.start_seconds for slot in evidence.slots]
    is_told = [abs(edge - question.told_seconds[told]) < 0.01 for edge in edges]
    return is_told.index(True) if any(is_told) else None


def asked_ids(model: HuggingFaceModel, question: str) -> list[int]:
    """A question and what follows it, as at the end of a prompt."""
    return list(model.tokenizer(f"{question}<end_of_utterance>\nAssistant:", add_special_tokens=False).input_ids)


def draw_questions(snapshot: Snapshot, watched: Watched, rng: np.random.Generator) -> list[YardQuestion]:
    """About sixteen, of all classes, whose answers are true of `watched`: what the snapshot's slots show."""
    state = snapshot.world.state_at(snapshot.evidence.now_seconds)
    names, shares = list(CLASS_SHARES), np.array(list(CLASS_SHARES.values()))
    drawn: list[YardQuestion] = []
    for _ in range(3 * QUESTIONS):
        if len(drawn) == QUESTIONS:
            break
        klass = str(rng.choice(PRESENT)) if snapshot.has_gap else str(rng.choice(names, p=shares / shares.sum()))
        try:
            question = ask(state, watched, rng, klass=klass)
        except NothingToAsk:
            continue
        text = with_typos(question.text, rng) if rng.random() < TYPO_SHARE else question.text
        drawn.append(replace(question, text=text))
    if rng.random() < NOTE_SHARE * QUESTIONS:
        drawn.append(YardQuestion(NOTE_REQUEST, "now", note(state), 0.0))
    return drawn


def loss_of(
    model: HuggingFaceModel, batch: Sequence[Written], device: str, helper: nn.Module | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """(loss of the answers' words, of the helper, share of the words that are right)."""
    ids = torch.nn.utils.rnn.pad_sequence([each.ids for each in batch], batch_first=True).to(device)
    labels = torch.nn.utils.rnn.pad_sequence(
        [each.labels for each in batch], batch_first=True, padding_value=IGNORED
    ).to(device)
    tokens = torch.cat([each.tokens.float() for each in batch]).to(device)
    positions, mask = positions_and_mask([each.starts for each in batch], [len(each.ids) for each in batch])
    text_model = model.model.model.text_model
    with side_by_side(text_model):
        read = text_model(
            inputs_embeds=model.embed(ids, tokens),
            attention_mask=mask.to(device),
            position_ids=positions.to(device),
            use_cache=False,
            output_hidden_states=helper is not None,
            num_shared=min(each.starts[0] if each.starts else len(each.ids) for each in batch),
        )
    helped = torch.zeros((), device=device)
    if helper is not None:
        helped = helper(read.hidden_states, ids == model.image_id, batch)
    taught = labels[:, 1:] != IGNORED
    logits = model.model.lm_head(read.last_hidden_state[:, :-1][taught])
    wanted = labels[:, 1:][taught]
    return cross_entropy(logits, wanted), helped, (logits.argmax(-1) == wanted).float().mean()
