"""Exercises by the hundred, without a memory: what follows from times that are told is the same whatever one holds.

A memory of 2,000 tokens is read for some ten words of its exercises; a batch of exercises alone costs as much, and has
a hundred times as many.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence

from llm.huggingface import HuggingFaceModel
from streamer.yard.drills import draw_drill
from streamer.yard.lessons import IGNORED
from streamer.yard.remembering import asked_ids

DRILLS_PER_BATCH = 160
_YEAR_SECONDS = 365 * 86_400.0
_LAST_SECONDS = 1_796_083_200.0


def drill_batches(model: HuggingFaceModel, *, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """(ids, labels) int64 [B, L], padded, for ever; only the conclusions are labelled."""
    rng = np.random.default_rng(seed)
    while True:
        drawn = [_written(model, rng) for _ in range(DRILLS_PER_BATCH)]
        ids, labels = zip(*drawn, strict=True)
        yield (
            pad_sequence(list(ids), batch_first=True),
            pad_sequence(list(labels), batch_first=True, padding_value=IGNORED),
        )


def loss_of_drills(model: HuggingFaceModel, ids: Tensor, labels: Tensor, device: str) -> tuple[Tensor, Tensor]:
    """(loss, share of the words that are right)."""
    text_model = model.model.model.text_model
    embeds = text_model.get_input_embeddings()(ids.to(device))
    hidden = text_model(inputs_embeds=embeds, use_cache=False).last_hidden_state
    taught = (labels[:, 1:] != IGNORED).to(device)
    logits = model.model.lm_head(hidden[:, :-1][taught])
    wanted = labels[:, 1:].to(device)[taught]
    return cross_entropy(logits, wanted), (logits.argmax(-1) == wanted).float().mean()


def _written(model: HuggingFaceModel, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A question as it follows a memory, and its answer."""
    drill = draw_drill(_LAST_SECONDS - float(rng.uniform(0, _YEAR_SECONDS)), rng)
    asked = asked_ids(model, drill.text)
    encoded = model.tokenizer(f" {drill.answer}", add_special_tokens=False, return_offsets_mapping=True)
    said = [*encoded.input_ids, model.tokenizer.eos_token_id]
    num_given = sum(start - 1 < drill.taught_from for start, _ in encoded.offset_mapping)
    return torch.tensor([*asked, *said]), torch.tensor([IGNORED] * (len(asked) + num_given) + said[num_given:])
