"""Conversations about single pictures, beside which the words learn to remember: what is there, and what is no yard."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence

from llm.huggingface import HuggingFaceModel
from streamer.yard.lessons import IGNORED, Lesson


@dataclass(frozen=True)
class Batch:
    """planes uint8 [P, 3, S, S]; ids, labels int64 [C, L], padded; owners [C] each conversation's picture; num_earlier
    slots before it."""

    planes: Tensor
    ids: Tensor
    labels: Tensor
    owners: Tensor
    num_earlier: int


def collate(lessons: list[Lesson]) -> Batch:
    owners = [place for place, lesson in enumerate(lessons) if len(lesson.ids)]
    return Batch(
        planes=torch.stack([lesson.planes for lesson in lessons]),
        ids=pad_sequence([lessons[place].ids for place in owners], batch_first=True),
        labels=pad_sequence([lessons[place].labels for place in owners], batch_first=True, padding_value=IGNORED),
        owners=torch.tensor(owners),
        num_earlier=lessons[0].num_earlier,
    )


def loss_of_pictures(model: HuggingFaceModel, batch: Batch, device: str) -> Tensor:
    """Of the answers' words; the eyes learn nothing."""
    pixels = model.encoder.preprocessing.normalise(batch.planes.to(device), torch.float32)
    with torch.no_grad():
        tokens = model.family.project(pixels)
    ids, labels = batch.ids.to(device), batch.labels.to(device)
    embeds = model.embed(ids, _with_earlier(tokens.float(), batch).flatten(0, 1))
    hidden = model.model.model.text_model(inputs_embeds=embeds, use_cache=False).last_hidden_state
    taught = labels[:, 1:] != IGNORED
    return cross_entropy(model.model.lm_head(hidden[:, :-1][taught]), labels[:, 1:][taught])


def _with_earlier(tokens: Tensor, batch: Batch) -> Tensor:
    """[C, num_earlier + 1, N, W]: earlier slots, then the conversation's own picture.

    An earlier slot is another picture of the batch, some of them merged with a third, with a share of its parts
    (none to all) as they are in the conversation's own: the same yard, when other things stood in it.
    """
    own = tokens[batch.owners.to(tokens.device)][:, None]
    if not batch.num_earlier:
        return own
    shape = (len(batch.owners), batch.num_earlier)
    first, second = (torch.randint(len(tokens), shape, device=tokens.device) for _ in range(2))
    share = torch.rand(*shape, 1, 1, device=tokens.device).clamp(min=0.5)
    share = torch.where(torch.rand_like(share) < 0.5, torch.ones_like(share), share)
    earlier = tokens[first] * share + tokens[second] * (1 - share)
    is_own = torch.rand(*shape, tokens.shape[1], 1, device=tokens.device) < torch.rand_like(share)
    return torch.cat([torch.where(is_own, own, earlier), own], dim=1)
