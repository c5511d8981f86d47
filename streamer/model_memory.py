"""The memory of a model's cameras, as its encoder and its device want it; and what it is called on disk."""

from __future__ import annotations

from llm.base import LanguageModel
from memory import EncoderKind, Memory

MAX_EVIDENCE_SLOTS = 64
"""Slots of the evidence buffer; a model whose budget holds more reads these many."""


def memory_of(model: LanguageModel, *, num_cameras: int = 1) -> Memory:
    """All tiers, allocated."""
    encoder = model.encoder
    return Memory(
        num_cameras,
        num_tokens=encoder.num_tokens,
        width=encoder.width,
        similarity_width=encoder.similarity_width,
        max_slots=MAX_EVIDENCE_SLOTS,
        dtype=model.dtype,
        device=model.device,
    )


def kind_of(model: LanguageModel) -> EncoderKind:
    """Whose tokens its moments are."""
    encoder = model.encoder
    return EncoderKind(encoder.identity, encoder.num_tokens, encoder.width)
