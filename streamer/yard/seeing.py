"""The first stage of training: the eyes learn what stands where, the words to say what they see."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy
from torch.nn.utils.rnn import pad_sequence

from llm.huggingface import HuggingFaceModel
from streamer.yard.lessons import IGNORED, NUM_LABELS, Lesson

PEAK_LEARNING_RATE = 8e-4
WARMUP_STEPS = 400


@dataclass(frozen=True)
class Batch:
    """planes uint8 [P, 3, S, S]; ids, labels int64 [C, L], padded; grid [P, G, labels]; owners [C] each conversation's
    picture; num_earlier slots before it."""

    planes: Tensor
    ids: Tensor
    labels: Tensor
    grid: Tensor
    owners: Tensor
    num_earlier: int


def collate(lessons: list[Lesson]) -> Batch:
    owners = [place for place, lesson in enumerate(lessons) if len(lesson.ids)]
    return Batch(
        planes=torch.stack([lesson.planes for lesson in lessons]),
        ids=pad_sequence([lessons[place].ids for place in owners], batch_first=True),
        labels=pad_sequence([lessons[place].labels for place in owners], batch_first=True, padding_value=IGNORED),
        grid=torch.stack([lesson.grid for lesson in lessons]),
        owners=torch.tensor(owners),
        num_earlier=lessons[0].num_earlier,
    )


class Lecturer(nn.Module):
    """The model and, while it learns, a helper head that asks each picture token what stands in its part."""

    def __init__(self, model: HuggingFaceModel) -> None:
        super().__init__()
        self.wrapped = model
        self.model = model.model
        self.helper = nn.Linear(model.encoder.width, NUM_LABELS)
        self.clock: nn.Module | None = None

    def forward(self, batch: Batch, *, sees: bool) -> tuple[Tensor, Tensor, Tensor]:
        """(loss of the words, of the helper, share of answer tokens that are right); `sees`: the eyes learn too."""
        preprocessing = self.wrapped.encoder.preprocessing
        pixels = preprocessing.normalise(batch.planes, torch.float32)
        with torch.set_grad_enabled(sees):
            tokens = torch.stack(list(self.model.get_image_features(pixel_values=pixels[:, None]).pooler_output))
        slots = self._with_earlier(tokens, batch)
        embeds = self.wrapped.embed(batch.ids, slots.flatten(0, 1))
        hidden = self.model.model.text_model(inputs_embeds=embeds, use_cache=False).last_hidden_state
        taught = batch.labels[:, 1:] != IGNORED
        logits = self.model.lm_head(hidden[:, :-1][taught])
        wanted = batch.labels[:, 1:][taught]
        words = cross_entropy(logits, wanted)
        weight = torch.full((NUM_LABELS,), 8.0, device=tokens.device)
        weight[-3:] = 1.0
        helper = binary_cross_entropy_with_logits(self.helper(tokens), batch.grid, pos_weight=weight)
        return words, helper, (logits.argmax(-1) == wanted).float().mean()

    @staticmethod
    def _with_earlier(tokens: Tensor, batch: Batch) -> Tensor:
        """[C, num_earlier + 1, N, W]: earlier slots, then the conversation's own picture.

        An earlier slot is another picture of the batch, some of them merged with a third, with a share of its parts
        (none to all) as they are in the conversation's own: the same yard, when other things stood in it.
        """
        own = tokens[batch.owners][:, None]
        if not batch.num_earlier:
            return own
        others = tokens.detach()
        shape = (len(batch.owners), batch.num_earlier)
        first, second = (torch.randint(len(tokens), shape, device=tokens.device) for _ in range(2))
        share = torch.rand(*shape, 1, 1, device=tokens.device).clamp(min=0.5)
        share = torch.where(torch.rand_like(share) < 0.5, torch.ones_like(share), share)
        earlier = others[first] * share + others[second] * (1 - share)
        is_own = torch.rand(*shape, tokens.shape[1], 1, device=tokens.device) < torch.rand_like(share)
        return torch.cat([torch.where(is_own, own.detach(), earlier), own], dim=1)


def learning_rate(step: int, num_steps: int) -> float:
    """Up for 400 steps, then half a cosine, to a tenth of the peak."""
    if step < WARMUP_STEPS:
        return PEAK_LEARNING_RATE * (step + 1) / WARMUP_STEPS
    done = min(1.0, (step - WARMUP_STEPS) / max(1, num_steps - WARMUP_STEPS))
    return PEAK_LEARNING_RATE * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * done)))


def step_of(lecturer: Lecturer, optimiser: torch.optim.Optimizer, batch: Batch, rate: float, *, sees: bool) -> str:
    for group in optimiser.param_groups:
        group["lr"] = rate
    words, helper, right = lecturer(batch, sees=sees)
    optimiser.zero_grad()
    (words + 4.0 * helper if sees else words).backward()
    nn.utils.clip_grad_norm_(lecturer.parameters(), 1.0)
    optimiser.step()
    return f"words {words.item():.3f} helper {helper.item():.4f} right {right.item():.1%}"


def groups_of(lecturer: Lecturer) -> list[dict[str, Any]]:
    matrices = [p for p in lecturer.parameters() if p.ndim >= 2]
    others = [p for p in lecturer.parameters() if p.ndim < 2]
    return [{"params": matrices, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}]


def on(batch: Batch, device: str) -> Batch:
    tensors = {name: getattr(batch, name).to(device) for name in ("planes", "ids", "labels", "grid", "owners")}
    return Batch(**tensors, num_earlier=batch.num_earlier)
