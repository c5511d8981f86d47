"""The last stage of training: many questions about one memory, asked side by side, each as if it were the only one.

A memory's prompt is long and is read once; its questions follow it in one sequence, and a mask keeps each of them from
the others. The eyes are fixed: memories were encoded before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, normalize
from torch.utils.data import IterableDataset

from llm.huggingface import HuggingFaceModel
from llm.prompt import NOTE_REQUEST, conversation
from streamer.yard.histories import Snapshot, load_history
from streamer.yard.lessons import IGNORED, draw_camera
from streamer.yard.questions import NothingToAsk, YardQuestion, ask, note, with_typos
from streamer.yard.shown import NUM_ASKED, shown
from streamer.yard.watched import Watched, watch

QUESTIONS = 16
TOKENS_PER_BATCH = 4_500
MAX_PER_BATCH = 16
LONGEST_MEMORIES = ((0, 5), (250, 12), (1000, 28), (2600, 64))
"""(from this batch on, slots of the longest memory)."""
QUIET_SHARE = 0.3
"""Of the memories in which nothing came, so many are asked about."""
TYPO_SHARE = 0.15
NOTE_SHARE = 0.06
CLASS_SHARES = {
    "now": 0.16,
    "recent": 0.17,
    "past": 0.3,
    "duration": 0.1,
    "never": 0.12,
    "unknowable": 0.04,
    "summary": 0.11,
}
TOLD_FROM_A_SLOT = ("recent", "past")
PRESENT = ("now", "now", "now", "unknowable")
CLOCK_SHARE, SOURCE_SHARE = 0.3, 0.3
SOURCE_SCALE = 8.0
KNOWN_AFTER = 2
"""After so many layers a slot shall know its time and what it shows; one later, what came in it."""


@dataclass(frozen=True)
class Written:
    """One memory and its questions as one sequence.

    ids, labels   int64 [L]
    starts        where each question begins in it; before the first is the memory
    tokens        float16 [S, N, W]
    clock         int64 [S, 2]: hour and minute at which each slot starts
    present       float32 [S, NUM_ASKED]: what each slot shows
    arrived       float32 [S, NUM_ASKED]: what came in it
    sources       int64 [K, 2]: (where a question ends, the slot that its answer is from), where that is one
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
        worker = torch.utils.data.get_worker_info()
        rng = np.random.default_rng([self._seed, worker.id if worker else 0])
        number = self._num_before
        while True:
            order = rng.permutation(len(self._paths))
            for first in range(0, len(order), 24):
                most_slots = max(slots for since, slots in LONGEST_MEMORIES if number >= since)
                for batch in self._batches(
                    [self._paths[int(place)] for place in order[first : first + 24]], rng, most_slots
                ):
                    number += 1
                    yield batch

    def _batches(self, paths: Sequence[Path], rng: np.random.Generator, most_slots: int) -> Iterator[list[Written]]:
        written = [
            write(self._model, snapshot, rng)
            for path in paths
            for snapshot in load_history(path)
            if len(snapshot.evidence.slots) <= most_slots and (is_eventful(snapshot) or rng.random() < QUIET_SHARE)
        ]
        written.sort(key=lambda each: len(each.ids))
        batches: list[list[Written]] = [[]]
        for each in written:
            batch = batches[-1]
            if batch and ((len(batch) + 1) * len(each.ids) > TOKENS_PER_BATCH or len(batch) >= MAX_PER_BATCH):
                batches.append([])
            batches[-1].append(each)
        for place in rng.permutation(len(batches)):
            yield batches[int(place)]


def write(model: HuggingFaceModel, snapshot: Snapshot, rng: np.random.Generator) -> Written:
    """A snapshot's memory with questions of all classes, as the model will read them."""
    evidence = snapshot.evidence
    truth = shown(watch(snapshot.world, snapshot.since_seconds, evidence.now_seconds), evidence.slots)
    camera = draw_camera(rng)
    mark = "?"
    prompt = model.prompt_ids(conversation(evidence, mark, camera=camera))
    ids = prompt[: len(prompt) - len(asked_ids(model, mark))]
    labels, starts, sources = [IGNORED] * len(ids), [], []
    slot_starts = [slot.start_seconds for slot in evidence.slots]
    for question in draw_questions(snapshot, truth.watched, rng):
        starts.append(len(ids))
        asked = asked_ids(model, question.text)
        said = [
            *model.tokenizer(f" {question.answer}", add_special_tokens=False).input_ids,
            model.tokenizer.eos_token_id,
        ]
        ids = ids + asked + said
        nearest = int(np.abs(np.array(slot_starts) - (evidence.now_seconds - question.age_seconds)).argmin())
        is_there = abs(slot_starts[nearest] - (evidence.now_seconds - question.age_seconds)) < 0.01
        if question.klass in TOLD_FROM_A_SLOT and is_there:
            sources.append((starts[-1] + len(asked) - 1, nearest))
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


def is_eventful(snapshot: Snapshot) -> bool:
    """Whether anything came that can be asked about."""
    return bool(watch(snapshot.world, snapshot.since_seconds, snapshot.evidence.now_seconds).came)


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


class DigestHelper(nn.Module):
    """While it learns: asks the mean of each picture's tokens after the first layer what is there; the token behind it
    when its slot began, what it shows and what came in it; and the end of each question which of these tokens its
    answer is from.

    Whoever is asked what came when needs a place at which both are known, and has to find it. From answers alone that
    is learned too late: after thousands of steps the minute that was told was that of no slot.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.clock = nn.Linear(width, 24 + 60)
        self.glance = nn.Linear(width, NUM_ASKED)
        self.present = nn.Linear(width, NUM_ASKED)
        self.arrived = nn.Linear(width, NUM_ASKED)
        self.wanted = nn.Linear(width, width)

    def forward(
        self, states: Sequence[Tensor], is_picture: Tensor, is_behind: Tensor, batch: Sequence[Written]
    ) -> Tensor:
        """`states` [B, L, D] after each layer; bool [B, L] where pictures' tokens and those behind stand -> loss."""
        device = states[0].device
        clock = torch.cat([each.clock for each in batch]).to(device)
        present = torch.cat([each.present for each in batch]).to(device)
        arrived = torch.cat([each.arrived for each in batch]).to(device)
        early, later = states[KNOWN_AFTER][is_behind].float(), states[KNOWN_AFTER + 1][is_behind].float()
        glance = states[1][is_picture].float().view(len(clock), -1, states[1].shape[-1]).mean(1)
        told = self.clock(later).float()
        weight = torch.full((NUM_ASKED,), 4.0, device=device)
        return (
            CLOCK_SHARE * (cross_entropy(told[:, :24], clock[:, 0]) + cross_entropy(told[:, 24:], clock[:, 1]))
            + binary_cross_entropy_with_logits(self.glance(glance).float(), present, pos_weight=weight)
            + binary_cross_entropy_with_logits(self.present(early).float(), present, pos_weight=weight)
            + 2.0 * binary_cross_entropy_with_logits(self.arrived(later).float(), arrived, pos_weight=2.0 * weight)
            + SOURCE_SHARE * self._of_sources(states[KNOWN_AFTER + 1], is_behind, batch)
        )

    def _of_sources(self, states: Tensor, is_behind: Tensor, batch: Sequence[Written]) -> Tensor:
        losses = []
        for row, each in enumerate(batch):
            if len(each.sources):
                slots = normalize(states[row][is_behind[row]].float(), dim=-1)
                asked = self.wanted(normalize(states[row][each.sources[:, 0].to(states.device)].float(), dim=-1))
                losses.append(
                    cross_entropy(asked.float() @ slots.T * SOURCE_SCALE, each.sources[:, 1].to(states.device))
                )
        return torch.stack(losses).mean() if losses else states.sum() * 0.0


def loss_of(
    model: HuggingFaceModel, batch: Sequence[Written], device: str, helper: nn.Module | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """(loss of the answers' words, of the helper, share of the words that are right)."""
    ids = torch.nn.utils.rnn.pad_sequence([each.ids for each in batch], batch_first=True).to(device)
    labels = torch.nn.utils.rnn.pad_sequence(
        [each.labels for each in batch], batch_first=True, padding_value=IGNORED
    ).to(device)
    tokens = torch.cat([each.tokens.float() for each in batch]).to(device)
    positions, mask = attention_of(batch, ids.shape[1])
    read = model.model.model.text_model(
        inputs_embeds=model.embed(ids, tokens),
        attention_mask=mask.to(device),
        position_ids=positions.to(device),
        use_cache=False,
        output_hidden_states=helper is not None,
    )
    helped = torch.zeros((), device=device)
    if helper is not None:
        behind = torch.zeros_like(ids, dtype=torch.bool)
        is_picture = ids == model.image_id
        behind[:, 1:] = is_picture[:, :-1] & ~is_picture[:, 1:]
        helped = helper(read.hidden_states, is_picture, behind, batch)
    taught = labels[:, 1:] != IGNORED
    logits = model.model.lm_head(read.last_hidden_state[:, :-1][taught])
    wanted = labels[:, 1:][taught]
    return cross_entropy(logits, wanted), helped, (logits.argmax(-1) == wanted).float().mean()


def attention_of(batch: Sequence[Written], length: int) -> tuple[Tensor, Tensor]:
    """Positions int64 [B, L] and a mask float32 [B, 1, L, L], 0 where a token may look: its memory, its own question.

    Each question stands right behind the memory, whatever stands between.
    """
    positions = torch.arange(length).repeat(len(batch), 1)
    allowed = torch.ones(length, length, dtype=torch.bool).tril().repeat(len(batch), 1, 1)
    for row, each in enumerate(batch):
        memory_end = each.starts[0] if each.starts else len(each.ids)
        for start, stop in zip(each.starts, (*each.starts[1:], len(each.ids)), strict=True):
            positions[row, start:stop] += memory_end - start
            allowed[row, start:stop, memory_end:start] = False
    mask = torch.zeros(allowed.shape).masked_fill(~allowed, torch.finfo(torch.float32).min)
    return positions, mask[:, None]
