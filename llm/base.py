"""What the rest of Longwatch needs of a language model, whatever family it is of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch

from encoders import VisionEncoder
from memory import Evidence, Reach


@dataclass(frozen=True)
class Piece:
    """What one step of an answer gave: `text` may be empty (a prefill chunk, half a character)."""

    text: str
    is_token: bool
    """False for a prefill chunk."""


class LanguageModel(Protocol):
    """Answers about evidence whose tokens its own encoder made.

    Nothing here is thread-safe: one device thread calls it, one step at a time.
    """

    name: str
    encoder: VisionEncoder
    device: torch.device
    dtype: torch.dtype
    prompt_budget: int
    """Tokens that a prompt may have, pictures included."""
    knows_only: str | None
    """A scheme of cameras ("demo") where the checkpoint knows no other world, else None."""

    def max_slots(self, question: str, *, camera: str, reach: Reach) -> int:
        """How many slots of evidence about `reach` fit the budget beside `question`.

        Raises: PromptError where none fits.
        """
        ...

    def answer(
        self, evidence: Evidence, question: str, *, camera: str, max_new_tokens: int, is_current: bool = True
    ) -> Iterator[Piece]:
        """Steps of an answer; each `next()` runs one prefill chunk or one decode step on the device.

        `is_current` is False where the camera is not live: then nothing in the evidence is "now".
        """
        ...
