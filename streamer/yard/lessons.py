"""What the checkpoint is taught: pictures of the yard as memory holds them, with questions and true answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from encoders import Preprocessing
from llm.huggingface import HuggingFaceModel
from llm.prompt import NOTE_REQUEST, conversation
from memory import Evidence, EvidenceSlot, Gap
from streamer.yard.foreign import draw_foreign
from streamer.yard.questions import (
    DESCRIBE,
    NOT_THE_YARD,
    Exchange,
    describe,
    draw_exchange,
    draw_moment,
    draw_question,
    note,
)
from streamer.yard.render import render
from streamer.yard.world import World, YardState

FIRST_TRAINING_SEED = 10_000
"""Worlds below it are never trained on: tests and benchmarks draw from them."""
FOREIGN_SHARE = 0.05
FOREIGN_SPAN_SECONDS = 1800.0
FEW_EARLIER, NO_EARLIER = 0.32, 0.6
"""Shares of batches with few earlier slots and without; the rest have many, as an agent's prompts do."""
NOTE_SHARE = 0.12
WHOLE_FIRST_SHARE = 0.2
IGNORED = -100
_CAMERAS = ("yard", "front", "garden", "camera1", "camera2", "cam", "door", "back yard", "driveway", "demo")


@dataclass(frozen=True)
class Lesson:
    """One conversation about one picture.

    planes: uint8 [3, S, S]; ids, labels: int64 [L], labels are `IGNORED` outside of the answers;
    num_earlier: slots that stand before this picture in the conversation, to be filled with other lessons' pictures.
    """

    planes: Tensor
    ids: Tensor
    labels: Tensor
    num_earlier: int


class PictureLessons(Dataset[Lesson]):
    """Lesson `index` is the same for the same `seed`, so that a run can be resumed anywhere.

    The lessons of one batch have equally many earlier slots, so that little of the batch is padding. Not each picture
    has a conversation, the fewer the longer it is: the others stand in its earlier slots.
    """

    def __init__(self, model: HuggingFaceModel, *, seed: int, num_lessons: int, batch_size: int) -> None:
        self._model, self._seed, self._num, self._batch_size = model, seed, num_lessons, batch_size
        self._preprocessing: Preprocessing = model.encoder.preprocessing

    def __len__(self) -> int:
        return self._num

    def __getitem__(self, index: int) -> Lesson:
        rng = np.random.default_rng([self._seed, index])
        world, time_seconds = draw_scene(rng)
        state = world.state_at(time_seconds)
        pixels = render(state)
        is_foreign = rng.random() < FOREIGN_SHARE
        if is_foreign:
            pixels = draw_foreign(rng, pixels)
        pixels = weathered(pixels, rng)
        planes = self._preprocessing.resize(torch.from_numpy(pixels)[None])[0]
        num_earlier = _draw_num_earlier(np.random.default_rng([self._seed, index // self._batch_size, 1]))
        if index % _conversation_every(num_earlier):
            return Lesson(planes, torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.int64), num_earlier)
        first, *others = draw_foreign_exchanges(world, time_seconds, rng) if is_foreign else draw_exchanges(state, rng)
        evidence = draw_evidence(state.time_seconds, num_earlier, rng)
        messages = conversation(evidence, first.question, camera=draw_camera(rng))
        ids, labels = written(self._model, messages, first, others)
        return Lesson(planes, ids, labels, num_earlier)


def draw_scene(rng: np.random.Generator) -> tuple[World, float]:
    """A training world and a moment, mostly one at which something happens; often the busier of two of a day."""
    world = World(int(rng.integers(FIRST_TRAINING_SEED, 1 << 30)))
    day_seconds = datetime(2026, 1, 1).timestamp() + rng.uniform(0, 364) * 86_400
    num_moments = 2 if rng.random() < 0.5 else 1
    moments = [draw_moment(world, day_seconds, rng) for _ in range(num_moments)]
    return world, max(moments, key=lambda moment: len(world.state_at(moment).things))


def draw_camera(rng: np.random.Generator) -> str:
    return _CAMERAS[int(rng.integers(len(_CAMERAS)))]


def draw_exchanges(state: YardState, rng: np.random.Generator) -> list[Exchange]:
    """Three questions with answers: two of any class, and what is there, or a note of it.

    What is there comes first only now and then: after it, the others could be answered from its words without looking.
    """
    if rng.random() < NOTE_SHARE:
        whole = Exchange(NOTE_REQUEST, note(state))
    else:
        whole = Exchange(DESCRIBE[int(rng.integers(len(DESCRIBE)))], describe(state))
    others = [draw_exchange(state, rng), draw_exchange(state, rng)]
    return [whole, *others] if rng.random() < WHOLE_FIRST_SHARE else [*others, whole]


def draw_foreign_exchanges(world: World, now_seconds: float, rng: np.random.Generator) -> list[Exchange]:
    """Three questions of any class, about what is no yard."""
    whole = NOTE_REQUEST if rng.random() < NOTE_SHARE else DESCRIBE[int(rng.integers(len(DESCRIBE)))]
    asked = [draw_question(world, now_seconds - FOREIGN_SPAN_SECONDS, now_seconds, rng).text for _ in range(2)]
    return [Exchange(question, NOT_THE_YARD) for question in (whole, *asked)]


def written(model: HuggingFaceModel, messages: Any, first: Exchange, others: list[Exchange]) -> tuple[Tensor, Tensor]:
    """(ids, labels) int64 [L] of a conversation; `messages` end with the first question."""
    tokenizer = model.tokenizer
    ids = model.prompt_ids(messages)
    labels = [IGNORED] * len(ids)
    for turn, exchange in enumerate((first, *others)):
        if turn:
            asked = tokenizer(
                f"\nUser: {exchange.question}<end_of_utterance>\nAssistant:", add_special_tokens=False
            ).input_ids
            ids += asked
            labels += [IGNORED] * len(asked)
        said = [*tokenizer(f" {exchange.answer}", add_special_tokens=False).input_ids, tokenizer.eos_token_id]
        ids += said
        labels += said
    return torch.tensor(ids), torch.tensor(labels)


def _draw_num_earlier(rng: np.random.Generator) -> int:
    draw = rng.random()
    if draw < NO_EARLIER:
        return 0
    return int(rng.integers(1, 6)) if draw < NO_EARLIER + FEW_EARLIER else int(rng.integers(12, 36))


def _conversation_every(num_earlier: int) -> int:
    if num_earlier == 0:
        return 1
    return 2 if num_earlier < 6 else 4


def draw_evidence(time_seconds: float, num_earlier: int, rng: np.random.Generator) -> Evidence:
    """`num_earlier` slots with spans as memory has them, now and then a gap; then the newest frame."""
    age_seconds = float(rng.uniform(0, 1.5))
    period_seconds = float(rng.choice((0.2, 0.5, 0.5, 1.0, 2.0, 5.0)))
    newest_start_seconds = time_seconds - (float(rng.uniform(1, 60)) if rng.random() < 0.1 else 0.0)
    slots, gaps = [EvidenceSlot("ring", newest_start_seconds, time_seconds, 1, "", 0)], []
    for place in range(num_earlier):
        is_ring = place < 18
        end_seconds = slots[-1].start_seconds - period_seconds
        if rng.random() < 0.04:
            start_seconds = end_seconds - float(rng.uniform(2, 4000))
            gaps.append(Gap(start_seconds, end_seconds))
            end_seconds = start_seconds
        span_seconds = 0.0 if is_ring and rng.random() < 0.8 else period_seconds * float(rng.integers(1, 40))
        slots.append(
            EvidenceSlot("ring" if is_ring else "long_term", end_seconds - span_seconds, end_seconds, 1, "", 0)
        )
    return Evidence(
        camera=0,
        now_seconds=time_seconds + age_seconds,
        tokens=torch.empty(len(slots), 0, 0),
        slots=tuple(reversed(slots)),
        gaps=tuple(gaps),
        newest_seconds=time_seconds,
        frame_age_seconds=age_seconds,
    )


def weathered(pixels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """What cameras and codecs do to a picture: noise, blur, other brightness, JPEG blocks, each now and then."""
    draw = rng.random()
    if draw < 0.15:
        quality = int(rng.integers(30, 90))
        return np.asarray(
            cv2.imdecode(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 1), np.uint8
        )
    if draw < 0.3:
        gain, offset = rng.uniform(0.9, 1.1), rng.uniform(-8, 8)
        return np.asarray(cv2.convertScaleAbs(pixels, alpha=gain, beta=offset), np.uint8)
    if draw < 0.4:
        return np.asarray(cv2.GaussianBlur(pixels, (0, 0), float(rng.uniform(0.4, 1.2))), np.uint8)
    return pixels
