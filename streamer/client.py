"""A question to a running agent from another terminal; it loads nothing that takes time."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from streamer.errors import QuestionError
from streamer.times import Span

SOCKET_NAME = "agent.sock"
"""In the folder of the agent's archive."""
ANSWER_BYTES = 1 << 20
AGENT_SECONDS = 300.0
"""How long a whole answer may take: those that wait before it too."""


async def ask_agent(
    folder: Path, camera: str, question: str, span: Span | None, *, say: Callable[[str], None]
) -> dict[str, Any] | None:
    """The answer as `Answer.to_json` has it, its pieces said as they come; None where no agent listens.

    Raises: QuestionError, in the agent's words, or where it breaks off.
    """
    try:
        reader, writer = await asyncio.open_unix_connection(folder / SOCKET_NAME, limit=ANSWER_BYTES)
    except OSError:
        return None
    times = {} if span is None else {"until": span.until_seconds}
    if span is not None and math.isfinite(span.since_seconds):
        times["since"] = span.since_seconds
    try:
        writer.write(json.dumps({"camera": camera, "question": question, **times}).encode() + b"\n")
        async with asyncio.timeout(AGENT_SECONDS):
            while line := await reader.readline():
                message = json.loads(line)
                if "error" in message:
                    raise QuestionError(message["error"])
                if "answer" in message:
                    return dict(message["answer"])
                say(message["piece"])
    except TimeoutError as error:
        raise QuestionError(f"the agent gave no answer within {AGENT_SECONDS:.0f} s; ask again") from error
    except (ConnectionError, ValueError) as error:
        raise QuestionError("the agent broke off in the midst of the answer; is it still running?") from error
    finally:
        writer.close()
    raise QuestionError("the agent ended before the answer was whole")
