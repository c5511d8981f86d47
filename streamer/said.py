"""An answer that another process makes, as a person or a program reads it here."""

from __future__ import annotations

import json
import sys
from typing import Any

from streamer.console import make_console
from streamer.evidence_line import evidence_of_json


class Said:
    """Pieces as they come, then the line about the evidence; as JSON nothing is said before the end."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json, self._out, self._text = as_json, make_console(), ""

    def say(self, piece: str) -> None:
        self._text += piece
        if not self._as_json:
            self._out.print(piece, end="")

    def end(self, answer: dict[str, Any]) -> None:
        """`answer` as `Answer.to_json` has it."""
        if self._as_json:
            sys.stdout.write(json.dumps(answer, ensure_ascii=False) + "\n")
            return
        if self._text:
            self._out.print()
        if self._text.strip() != answer["answer"]:  # pieces were lost
            self._out.print(answer["answer"])
        self._out.print(evidence_of_json(answer))
