"""Keeps what a thinking model thinks out of what it answers, piece by piece as it comes; it knows no model."""

from __future__ import annotations

_MARKS = (("<think>", "</think>"), ("<thinking>", "</thinking>"), ("◁think▷", "◁/think▷"))
MAX_THOUGHT_TOKENS = 1024
"""A model that thinks for longer is stopped: its answer would come too late to be one about now."""


class Thoughts:
    """Takes an answer in pieces and gives back what stands outside of thoughts.

    prompt  where it ends with an opening mark, as templates of thinking models do, the answer begins as a thought
    """

    def __init__(self, prompt: str = "") -> None:
        self._held = ""
        self._closing: str | None = next((end for begin, end in _MARKS if prompt.rstrip().endswith(begin)), None)
        self._is_begun = False

    @property
    def is_thinking(self) -> bool:
        return self._closing is not None

    def take(self, piece: str) -> str:
        """What of the answer so far can be said now; what may yet become a mark is held back."""
        self._held += piece
        said = ""
        while self._held:
            if self._closing is not None:
                before, mark, after = self._held.partition(self._closing)
                if not mark:
                    self._held = _tail(before, [self._closing])
                    break
                self._held, self._closing = after, None
                continue
            at, begin, end = _first(self._held)
            if begin:
                said += self._held[:at]
                self._held, self._closing = self._held[at + len(begin) :], end
                continue
            kept = _tail(self._held, [begin for begin, _ in _MARKS])
            said += self._held.removesuffix(kept) if kept else self._held
            self._held = kept
            break
        return self._begun(said)

    def end(self) -> str:
        """What was held back and is no mark after all; nothing of a thought that never ended."""
        held, self._held = self._held, ""
        return "" if self.is_thinking else self._begun(held)

    def _begun(self, said: str) -> str:
        """Without the blank that stands between a thought and the answer."""
        said = said if self._is_begun else said.lstrip()
        self._is_begun |= bool(said)
        return said


def _first(text: str) -> tuple[int, str, str]:
    """Where the first opening mark stands, it, and what closes it; "" where there is none."""
    found = [(text.find(begin), begin, end) for begin, end in _MARKS if begin in text]
    return min(found, default=(-1, "", ""))


def _tail(text: str, marks: list[str]) -> str:
    """The longest end of `text` that one of `marks` may begin with."""
    longest = max(map(len, marks)) - 1
    for length in range(min(longest, len(text)), 0, -1):
        if any(mark.startswith(text[-length:]) for mark in marks):
            return text[-length:]
    return ""
