"""What the rest of Longwatch needs of a language model, whatever family it is of."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch

from encoders import VisionEncoder
from memory import Evidence, Reach


@dataclass(frozen=True)
class Piece:
    """What one step of an answer gave: `text` may be empty (a prefill chunk, half a character)."""

    text: str
    is_token: bool
    """False for a prefill chunk."""


Steps = Iterator[Piece] | AsyncIterator[Piece]
"""Of an answer. An iterator takes a step on the device at each `next()`; an asynchronous one waits for the network."""


class LanguageModel(Protocol):
    """Answers about evidence whose tokens its own encoder made, or from the pictures and notes beside them.

    Nothing here is thread-safe: one device thread calls it, one step at a time.
    """

    name: str
    encoder: VisionEncoder
    device: torch.device
    dtype: torch.dtype
    knows_only: str | None
    """A scheme of cameras ("demo") where the checkpoint knows no other world, else None."""

    def max_slots(self, question: str, *, camera: str, reach: Reach) -> int:
        """How many slots of evidence about `reach` fit the budget beside `question`.

        Raises: PromptError where none fits.
        """
        ...

    def answer(
        self, evidence: Evidence, question: str, *, camera: str, max_new_tokens: int, is_current: bool = True
    ) -> Steps:
        """Steps of an answer; each `next()` runs one prefill chunk or one decode step on the device.

        Asynchronous steps are taken on the event loop and read nothing of the evidence but its slots.
        `is_current` is False where the camera is not live: then nothing in the evidence is "now".
        """
        ...


class LocalModel(LanguageModel, Protocol):
    """One that runs here, so that its answers can be stepped through without an event loop."""

    def answer(
        self, evidence: Evidence, question: str, *, camera: str, max_new_tokens: int, is_current: bool = True
    ) -> Iterator[Piece]: ...


@dataclass(frozen=True)
class Usage:
    """What a model that is paid for has cost: since the start, within the last hour, and what an hour may cost.

    is_up    None before the first try
    refused  questions that were over the limits
    """

    is_up: bool | None
    calls: int
    tokens: int
    refused: int
    calls_last_hour: int
    tokens_last_hour: int
    calls_per_hour: int
    tokens_per_hour: int


@runtime_checkable
class Remote(Protocol):
    """What a language model has besides where it runs on another machine."""

    @property
    def usage(self) -> Usage: ...

    async def keep_connected(self) -> None:
        """Runs beside the agent, for ever; on leaving, it closes what is open."""
        ...
