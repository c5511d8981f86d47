"""The dim line under an answer: from when it is, of how much, and how fast it came."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rich.text import Text


def evidence_of_json(answer: dict[str, Any]) -> Text:
    """Of an answer as `Answer.to_json` has it."""
    slots = answer["evidence"]
    begun, ended = (
        datetime.fromtimestamp(seconds) for seconds in (slots[0]["start_seconds"], slots[-1]["end_seconds"])
    )
    day = "" if ended.date() == datetime.now().date() else f"{begun:%Y-%m-%d} "
    return Text(
        f"  {day}{begun:%H:%M:%S} to {ended:%H:%M:%S}, {sum(slot['weight'] for slot in slots)} frames in "
        f"{len(slots)} slots; newest {answer['frame_age_seconds']:.1f} s old; first word after "
        f"{answer['latency']['first_token_seconds']:.2f} s",
        style="dim",
    )
