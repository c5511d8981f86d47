"""What a server takes, as learned from what it refused; it knows no connection."""

from __future__ import annotations

from dataclasses import dataclass, replace

from llm.remote_faults import RemoteFault

MAX_PICTURES = 16


@dataclass(frozen=True)
class Manners:
    """How a question is put: what all servers take at first, then what this one does.

    thinks  thoughts count as tokens of the answer there, so they need room of their own
    """

    most_pictures: int = MAX_PICTURES
    has_system: bool = True
    has_temperature: bool = True
    has_usage: bool = True
    max_tokens_key: str = "max_tokens"
    thinks: bool = False

    def after(self, fault: RemoteFault, *, num_pictures: int) -> Manners:
        """How to put it next, to a question of `num_pictures` pictures; the same where `fault` teaches nothing."""
        match fault.kind:
            case "too_long":
                return replace(self, most_pictures=num_pictures // 2) if num_pictures else self
            case "no_pictures":
                return replace(self, most_pictures=0) if num_pictures else self
            case "no_system":
                return replace(self, has_system=False)
            case "no_max_tokens":
                return replace(self, max_tokens_key="max_completion_tokens")
            case "no_temperature":
                return replace(self, has_temperature=False)
            case "no_usage":
                return replace(self, has_usage=False)
            case "thought_only":
                return replace(self, thinks=True)
            case _:
                return self
