"""Evidence and a question as messages for a server: captions, JPEGs and notes in place of tokens; it sends nothing."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from typing import Any

from llm.prompt import SYSTEM, conversation
from memory import Evidence, EvidenceSlot

REMOTE_SYSTEM = (
    f"{SYSTEM} Before each picture stands when it was taken, the newest comes last, and notes in parentheses "
    "were made when it was seen. If neither pictures nor notes tell, say so. Answer in the language of the question."
)
REMOTE_NOTE = "What does this picture show? One sentence of at most 20 words."
CHARACTERS_PER_TOKEN = 3
"""Of an estimate: fewer than English has, so that it is rather too high."""
_MOST_CHARACTERS_PER_TOKEN, _LEAST_PICTURE_TOKENS = 5, 32
"""No tokenizer packs captions closer; no model that sees takes so few for a picture: the leanest has twice as many."""


@dataclass(frozen=True)
class RemotePrompt:
    """`messages` as the chat completions API takes them; what they hold, to estimate what they cost."""

    messages: list[dict[str, Any]]
    num_pictures: int
    num_characters: int

    def num_tokens(self, picture_tokens: int) -> int:
        """About as many tokens as it has."""
        return self.num_characters // CHARACTERS_PER_TOKEN + self.num_pictures * picture_tokens + 16

    def is_unseen(self, counted_tokens: int) -> bool:
        """True where a server counted so few tokens that its model cannot have been shown the pictures."""
        text_tokens = self.num_characters / _MOST_CHARACTERS_PER_TOKEN
        return self.num_pictures > 0 and counted_tokens < text_tokens + self.num_pictures * _LEAST_PICTURE_TOKENS


def remote_prompt(
    evidence: Evidence,
    question: str,
    *,
    camera: str,
    is_current: bool = True,
    most_pictures: int,
    has_system: bool = True,
) -> RemotePrompt:
    """The conversation that `llm.prompt` makes, with the newest `most_pictures` JPEGs and every note.

    Without any picture the content is plain text, which text-only servers take; without `has_system` what the system
    says stands before the rest.
    """
    _, user = conversation(evidence, question, camera=camera, is_current=is_current)
    slots = list(evidence.slots)
    pictured = [slot for slot in slots if slot.picture][-most_pictures:] if most_pictures else []
    parts: list[dict[str, Any]] = [] if has_system else [_text(f"{REMOTE_SYSTEM}\n")]
    waiting = iter(slots)
    for part in user["content"]:
        if part["type"] == "text":
            parts.append(_text(part["text"]))
            continue
        slot = next(waiting)
        if any(slot is one for one in pictured):
            parts.append(_picture(slot.picture))
        parts.append(_text(_beside(slot)))
    texts = [part["text"] for part in parts if part["type"] == "text"]
    content: Any = _joined(parts) if pictured else "".join(texts)
    messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
    if has_system:
        messages.insert(0, {"role": "system", "content": REMOTE_SYSTEM})
    return RemotePrompt(messages, len(pictured), sum(map(len, texts)) + len(REMOTE_SYSTEM))


def _beside(slot: EvidenceSlot) -> str:
    """A note stays data: nothing in it closes its parentheses."""
    return f"({slot.note.replace('(', '[').replace(')', ']')})" if slot.note else ""


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _picture(jpeg: bytes) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{b64encode(jpeg).decode('ascii')}"}}


def _joined(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Neighbouring texts as one, none of them empty: some servers refuse an empty part."""
    joined: list[dict[str, Any]] = []
    for part in parts:
        if part["type"] == "text" and joined and joined[-1]["type"] == "text":
            joined[-1] = _text(joined[-1]["text"] + part["text"])
        elif part["type"] != "text" or part["text"]:
            joined.append(part)
    return joined
