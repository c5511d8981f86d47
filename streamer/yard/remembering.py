"""The last stage of training: many questions about one memory, asked side by side, each as if it were the only one.

A memory's prompt is long and is read once; its questions follow it in one sequence, and a mask keeps each of them from
the others. The eyes are fixed: memories were encoded before.
"""

from __future__ import annotations

import math
from bisect import bisect_left
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
from streamer.yard.drills import Drill, draw_drill
from streamer.yard.histories import Snapshot, load_history
from streamer.yard.lessons import IGNORED, draw_camera
from streamer.yard.past import RECENT_SECONDS, draw_past
from streamer.yard.questions import NothingToAsk, YardQuestion, ask, note, with_typos
from streamer.yard.shown import shown
from streamer.yard.side_by_side import Heads, positions_and_mask, side_by_side
from streamer.yard.sources import Source, sources
from streamer.yard.watched import Watched

LEAST_QUESTIONS, QUESTIONS_PER_SLOT = 16, 0.6
DRILLS_PER_QUESTION = 0.25
TOKENS_PER_BATCH = 5_600
MAX_PER_BATCH = 16
FILES_AT_ONCE = 24
LONGEST_MEMORIES = ((0, 5), (250, 12), (1000, 20), (2600, 64))
"""(from this batch on, slots of the longest memory)."""
WHOLE_SHARE, LEAST_SLOTS = 0.4, 5
"""So many memories are asked about as they are, the others as if they had begun later."""
LATEST_SECONDS = 200 * 86_400.0
"""No time is told of a world twice: they would be learned by heart, and not read from the slots."""
FULL_COMINGS = 2
"""A memory with so many comings is always asked about: there is something to find, and to take it from."""
EASY_SHARE, QUIET_SHARE = 0.15, 0.06
"""Of the others so many, and of those in which nothing came."""
TYPO_SHARE = 0.15
NOTE_SHARE = 0.06
CLASS_SHARES = {
    "now": 0.08,
    "recent": 0.15,
    "past": 0.45,
    "duration": 0.1,
    "never": 0.1,
    "unknowable": 0.02,
    "summary": 0.1,
}
PAST_SHARES = {"did": 0.16, "when": 0.13, "often": 0.28, "first": 0.21, "last vehicle": 0.11, "gate": 0.11}
"""What takes several steps is asked more often than it will be."""
PRESENT = ("now", "now", "now", "unknowable")


@dataclass(frozen=True)
class Written:
    """One memory and its questions as one sequence.

    ids, labels   int64 [L]
    starts        where each question begins in it; before the first is the memory
    tokens        float16 [S, N, W]
    clock         int64 [S, 6]: hour, minute and second at which each slot starts and ends
    present       float32 [S, NUM_ASKED]: what each slot shows
    arrived       float32 [S, NUM_ASKED]: what came in it
    recent        float32 [S, NUM_ASKED]: what came in it within the last minute
    left          float32 [S, NUM_ASKED]: what had gone when it began
    sources       int64 [K, 6]: where words of answers are from, each a `Source`
    """

    ids: Tensor
    labels: Tensor
    starts: tuple[int, ...]
    tokens: Tensor
    clock: Tensor
    present: Tensor
    arrived: Tensor
    recent: Tensor
    left: Tensor
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
        while any(load_history(path) for path in self._paths):
            order = [self._paths[int(place)] for place in rng.permutation(len(self._paths))]
            for first in range(0, len(order), FILES_AT_ONCE):
                most_slots = max(slots for since, slots in LONGEST_MEMORIES if number >= since)
                for batch in self._batches(order[first : first + FILES_AT_ONCE], rng, most_slots):
                    number += 1
                    yield batch
        raise ValueError(f"there is nothing to remember in {len(self._paths)} histories")

    def _batches(self, paths: Sequence[Path], rng: np.random.Generator, most_slots: int) -> Iterator[list[Written]]:
        snapshots = [snapshot for path in paths for snapshot in load_history(path)]
        drawn = [_drawn(snapshot, most_slots, rng) for snapshot in snapshots]
        written = [write(self._model, snapshot, rng) for snapshot in drawn if rng.random() < _share(snapshot)]
        written.sort(key=lambda each: len(each.ids))
        batches: list[list[Written]] = []
        for each in written:
            num_next = len(batches[-1]) + 1 if batches else math.inf
            if num_next * len(each.ids) > TOKENS_PER_BATCH or num_next > MAX_PER_BATCH:
                batches.append([])
            batches[-1].append(each)
        for place in rng.permutation(len(batches)):
            yield batches[int(place)]


def _drawn(snapshot: Snapshot, most_slots: int, rng: np.random.Generator) -> Snapshot:
    """At another day and hour, with at most `most_slots`: as it is, or as if it had begun later."""
    most = min(len(snapshot.evidence.slots), most_slots)
    if most > LEAST_SLOTS and rng.random() >= WHOLE_SHARE:
        most = int(math.exp(rng.uniform(math.log(LEAST_SLOTS), math.log(most + 1))))
    return snapshot.newest(most).later(float(rng.uniform(-LATEST_SECONDS, LATEST_SECONDS)))


def _share(snapshot: Snapshot) -> float:
    """How often it is asked about."""
    num_came = len(snapshot.watched.came)
    if num_came >= FULL_COMINGS:
        return 1.0
    return EASY_SHARE if num_came else QUIET_SHARE


def write(model: HuggingFaceModel, snapshot: Snapshot, rng: np.random.Generator) -> Written:
    """A snapshot's memory with questions of all classes, as the model will read them."""
    evidence = snapshot.evidence
    truth = shown(snapshot.watched, evidence.slots)
    camera = draw_camera(rng)
    mark = "?"
    prompt = model.prompt_ids(conversation(evidence, mark, camera=camera))
    ids = prompt[: len(prompt) - len(asked_ids(model, mark))]
    labels, starts, found = [IGNORED] * len(ids), [], []
    for question in draw_questions(snapshot, truth.watched, rng):
        starts.append(len(ids))
        asked = asked_ids(model, question.text)
        encoded = model.tokenizer(f" {question.answer}", add_special_tokens=False, return_offsets_mapping=True)
        offsets = [start - 1 for start, _ in encoded.offset_mapping]
        said = [*encoded.input_ids, model.tokenizer.eos_token_id]
        ids = ids + asked + said
        labels += [IGNORED] * len(asked)
        if isinstance(question, Drill):
            num_given = bisect_left(offsets, question.taught_from)
            labels += [IGNORED] * num_given + said[num_given:]
            continue
        answer_start = starts[-1] + len(asked)
        found += [each._replace(place=each.place + answer_start) for each in sources(question, offsets, evidence)]
        labels += said
    edges = [datetime.fromtimestamp(edge) for slot in evidence.slots for edge in (slot.start_seconds, slot.end_seconds)]
    is_recent = [slot.start_seconds >= evidence.now_seconds - RECENT_SECONDS for slot in evidence.slots]
    return Written(
        torch.tensor(ids),
        torch.tensor(labels),
        tuple(starts),
        evidence.tokens,
        clock=torch.tensor([[edge.hour, edge.minute, edge.second] for edge in edges]).view(-1, 6),
        present=truth.present.float(),
        arrived=truth.arrived.float(),
        recent=truth.arrived.float() * torch.tensor(is_recent)[:, None],
        left=truth.left.float(),
        sources=torch.tensor(found, dtype=torch.int64).view(-1, len(Source._fields)),
    )


def asked_ids(model: HuggingFaceModel, question: str) -> list[int]:
    """A question and what follows it, as at the end of a prompt."""
    return list(model.tokenizer(f"{question}<end_of_utterance>\nAssistant:", add_special_tokens=False).input_ids)


def draw_questions(snapshot: Snapshot, watched: Watched, rng: np.random.Generator) -> list[YardQuestion | Drill]:
    """Of all classes, with answers that are true of `watched`, what the snapshot's slots show; drills among them."""
    state = snapshot.state
    names, shares = list(CLASS_SHARES), np.array(list(CLASS_SHARES.values()))
    num_questions = LEAST_QUESTIONS + int(QUESTIONS_PER_SLOT * len(snapshot.evidence.slots))
    drawn: list[YardQuestion | Drill] = []
    asked: set[str] = set()
    for _ in range(3 * num_questions):
        if len(drawn) == num_questions:
            break
        klass = str(rng.choice(PRESENT)) if snapshot.has_gap else str(rng.choice(names, p=shares / shares.sum()))
        try:
            if klass == "past":
                question = draw_past(watched, rng, held_out=False, shares=PAST_SHARES)
            else:
                question = ask(state, watched, rng, klass=klass)
        except NothingToAsk:
            continue
        if question.text in asked:
            continue
        asked.add(question.text)
        text = with_typos(question.text, rng) if rng.random() < TYPO_SHARE else question.text
        drawn.append(replace(question, text=text))
    drawn += [draw_drill(watched.now_seconds, rng) for _ in range(int(DRILLS_PER_QUESTION * len(drawn)))]
    if rng.random() < NOTE_SHARE * num_questions:
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
        heads = Heads(text_model, positions.to(device), mask.to(device))
        helped = helper(read.hidden_states, ids == model.image_id, batch, heads)
    taught = labels[:, 1:] != IGNORED
    logits = model.model.lm_head(read.last_hidden_state[:, :-1][taught])
    wanted = labels[:, 1:][taught]
    return cross_entropy(logits, wanted), helped, (logits.argmax(-1) == wanted).float().mean()
