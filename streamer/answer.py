"""A question as it may be put, and the whole answer to it with what it was made from; it knows no queue."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import asdict, dataclass
from typing import Any

from llm.base import Steps, Usage
from llm.prompt import MAX_QUESTION_CHARACTERS
from memory import EvidenceSlot
from streamer.device import DeviceThread, Priority
from streamer.errors import QuestionError
from streamer.steps import each_piece

ANSWER_TOKENS = 96
NO_ANSWER = "(the model gave no answer)"


@dataclass(frozen=True)
class Latency:
    """Seconds from asking to: the question's turn, the first token of the model, the end."""

    queue_seconds: float
    first_token_seconds: float
    total_seconds: float


@dataclass(frozen=True)
class Answer:
    """An answer with the evidence that it was made from; times are the camera's clock's, in UTC epoch seconds."""

    camera: str
    question: str
    answer: str
    asked_at_seconds: float
    frame_age_seconds: float
    evidence: tuple[EvidenceSlot, ...]
    memory: dict[str, int]
    latency: Latency
    model: str
    usage: Usage | None = None
    """Of a remote model: what it has cost by now."""

    def to_json(self) -> dict[str, Any]:
        """One flat object for `--json`; evidence as tier, span and weight, of the archive also the id of its picture;
        `usage` only of a remote model."""
        usage = {} if self.usage is None else {"usage": asdict(self.usage)}
        return {
            "camera": self.camera,
            "question": self.question,
            "answer": self.answer,
            "asked_at_seconds": round(self.asked_at_seconds, 3),
            "frame_age_seconds": round(self.frame_age_seconds, 3),
            "evidence": [
                {
                    "tier": slot.tier,
                    "start_seconds": round(slot.start_seconds, 3),
                    "end_seconds": round(slot.end_seconds, 3),
                    "weight": slot.weight,
                    **({"moment_id": slot.slot_id} if slot.tier == "archive" else {}),
                }
                for slot in self.evidence
            ],
            "memory": self.memory,
            "latency": {
                "queue_seconds": round(self.latency.queue_seconds, 4),
                "first_token_seconds": round(self.latency.first_token_seconds, 4),
                "total_seconds": round(self.latency.total_seconds, 4),
            },
            "model": self.model,
            **usage,
        }


def as_put(question: str) -> str:
    """In one line, of characters that can be written. Raises: QuestionError where it is empty or too long."""
    question = " ".join(question.encode(errors="replace").decode().split())
    if not question:
        raise QuestionError("the question is empty; ask something, for example: What is happening?")
    if len(question) > MAX_QUESTION_CHARACTERS:
        raise QuestionError(
            f"the question has {len(question)} characters, and at most {MAX_QUESTION_CHARACTERS} are read; ask a "
            "shorter one"
        )
    return question


async def tell(
    steps: Steps, *, device: DeviceThread, asked_monotonic_seconds: float, say: Callable[[str], None]
) -> tuple[str, float]:
    """Says each piece as it comes; (all of them, seconds from asking to the model's first token or to the end)."""
    text, first_token_seconds = "", 0.0
    async with aclosing(each_piece(steps, device=device, priority=Priority.ANSWER)) as pieces:
        async for piece in pieces:
            if piece.is_token and not first_token_seconds:
                first_token_seconds = time.monotonic() - asked_monotonic_seconds
            text += piece.text
            say(piece.text)
    return text, first_token_seconds or time.monotonic() - asked_monotonic_seconds
