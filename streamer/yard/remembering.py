"""The last stage of training: many questions about one memory, asked side by side, each as if it were the only one.

A memory's prompt is long and is read once; its questions follow it in one sequence, and a mask keeps each of them from
the others. The eyes are fixed: memories were encoded before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import IterableDataset

from llm.huggingface import HuggingFaceModel
from llm.prompt import NOTE_REQUEST, conversation
from streamer.yard.answers import ONLY_NOW
from streamer.yard.histories import Snapshot, load_history
from streamer.yard.lessons import IGNORED, draw_camera
from streamer.yard.questions import Exchange, NothingToAsk, draw_question, note, with_typos

QUESTIONS = 10
TOKENS_PER_BATCH = 9_000
MAX_PER_BATCH = 16
TYPO_SHARE = 0.15
NOTE_SHARE = 0.06
CLASS_SHARES = {
    "now": 0.3,
    "recent": 0.16,
    "past": 0.2,
    "duration": 0.08,
    "never": 0.12,
    "unknowable": 0.04,
    "summary": 0.1,
}
PRESENT = ("now", "now", "now", "unknowable")


@dataclass(frozen=True)
class Written:
    """One memory and its questions as one sequence.

    ids, labels   int64 [L]
    starts        where each question begins in it; before the first is the memory
    tokens        float16 [S, N, W]
    clock         int64 [S, 2]: hour and minute at which each slot starts
    """

    ids: Tensor
    labels: Tensor
    starts: tuple[int, ...]
    tokens: Tensor
    clock: Tensor


class MemoryLessons(IterableDataset[list[Written]]):
    """Batches of about equally long memories, for ever, from the histories in `paths`; questions are drawn anew."""

    def __init__(self, model: HuggingFaceModel, paths: Sequence[Path], *, seed: int, tells_past: bool = True) -> None:
        self._model, self._paths, self._seed = model, list(paths), seed
        self._tells_past = tells_past

    def __iter__(self) -> Iterator[list[Written]]:
        worker = torch.utils.data.get_worker_info()
        rng = np.random.default_rng([self._seed, worker.id if worker else 0])
        while True:
            order = rng.permutation(len(self._paths))
            for first in range(0, len(order), 24):
                yield from self._batches([self._paths[int(place)] for place in order[first : first + 24]], rng)

    def _batches(self, paths: Sequence[Path], rng: np.random.Generator) -> Iterator[list[Written]]:
        written = [
            write(self._model, snapshot, rng, tells_past=self._tells_past)
            for path in paths
            for snapshot in load_history(path)
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


def write(model: HuggingFaceModel, snapshot: Snapshot, rng: np.random.Generator, *, tells_past: bool = True) -> Written:
    """A snapshot's memory with questions of all classes, as the model will read them.

    tells_past  False: what is not about now is answered with `ONLY_NOW`
    """
    camera = draw_camera(rng)
    mark = "?"
    prompt = model.prompt_ids(conversation(snapshot.evidence, mark, camera=camera))
    ids = prompt[: len(prompt) - len(asked_ids(model, mark))]
    labels, starts = [IGNORED] * len(ids), []
    for exchange in draw_questions(snapshot, rng, tells_past=tells_past):
        starts.append(len(ids))
        asked = asked_ids(model, exchange.question)
        said = [
            *model.tokenizer(f" {exchange.answer}", add_special_tokens=False).input_ids,
            model.tokenizer.eos_token_id,
        ]
        ids = ids + asked + said
        labels += [IGNORED] * len(asked) + said
    clocks = [datetime.fromtimestamp(slot.start_seconds) for slot in snapshot.evidence.slots]
    clock = torch.tensor([[clock.hour, clock.minute] for clock in clocks])
    return Written(torch.tensor(ids), torch.tensor(labels), tuple(starts), snapshot.evidence.tokens, clock)


def asked_ids(model: HuggingFaceModel, question: str) -> list[int]:
    """A question and what follows it, as at the end of a prompt."""
    return list(model.tokenizer(f"{question}<end_of_utterance>\nAssistant:", add_special_tokens=False).input_ids)


def draw_questions(snapshot: Snapshot, rng: np.random.Generator, *, tells_past: bool = True) -> list[Exchange]:
    """About ten, of all classes."""
    world, now_seconds = snapshot.world, snapshot.evidence.now_seconds
    names, shares = list(CLASS_SHARES), np.array(list(CLASS_SHARES.values()))
    drawn: list[Exchange] = []
    for _ in range(3 * QUESTIONS):
        if len(drawn) == QUESTIONS:
            break
        klass = str(rng.choice(PRESENT)) if snapshot.has_gap else str(rng.choice(names, p=shares / shares.sum()))
        try:
            question = draw_question(world, snapshot.since_seconds, now_seconds, rng, klass=klass)
        except NothingToAsk:
            continue
        text = with_typos(question.text, rng) if rng.random() < TYPO_SHARE else question.text
        answer = question.answer if tells_past or klass in PRESENT else ONLY_NOW
        drawn.append(Exchange(text, answer))
    if rng.random() < NOTE_SHARE * QUESTIONS:
        drawn.append(Exchange(NOTE_REQUEST, note(world.state_at(now_seconds))))
    return drawn


class ClockHelper(nn.Module):
    """While it learns: asks each picture token, half-way through the words' layers, when its slot began.

    The time stands before the picture; who is asked what was seen when has to carry it there, and learns that slowly
    from answers alone.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.head = nn.Linear(width, 24 + 60)

    def forward(self, hidden: Tensor, clock: Tensor) -> Tensor:
        """hidden [P, D] of picture tokens, clock int64 [P, 2] -> their loss."""
        logits = self.head(hidden).float()
        return cross_entropy(logits[:, :24], clock[:, 0]) + cross_entropy(logits[:, 24:], clock[:, 1])


def loss_of(
    model: HuggingFaceModel, batch: Sequence[Written], device: str, helper: ClockHelper | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """(loss of the answers' words, of the helper, share of the words that are right)."""
    ids = torch.nn.utils.rnn.pad_sequence([each.ids for each in batch], batch_first=True).to(device)
    labels = torch.nn.utils.rnn.pad_sequence(
        [each.labels for each in batch], batch_first=True, padding_value=IGNORED
    ).to(device)
    tokens = torch.cat([each.tokens.float() for each in batch]).to(device)
    positions, mask = attention_of(batch, ids.shape[1])
    embeds = model.embed(ids, tokens)
    read = model.model.model.text_model(
        inputs_embeds=embeds,
        attention_mask=mask.to(device),
        position_ids=positions.to(device),
        use_cache=False,
        output_hidden_states=helper is not None,
    )
    hidden = read.last_hidden_state
    helped = torch.zeros((), device=device)
    if helper is not None:
        clock = torch.cat([each.clock for each in batch]).repeat_interleave(tokens.shape[1], 0).to(device)
        half_way = read.hidden_states[len(read.hidden_states) // 2]
        helped = helper(half_way[ids == model.image_id], clock)
    taught = labels[:, 1:] != IGNORED
    logits = model.model.lm_head(hidden[:, :-1][taught])
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
