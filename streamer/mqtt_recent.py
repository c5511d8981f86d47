"""Which questions have been put lately, so that one which comes twice is answered once. It knows no client.

Who has no answer (a broker was restarted in between) may ask again under the same id: the answer that was made is sent
again. The last `MOST` are known, for `SECONDS`.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field

MOST, SECONDS = 512, 600.0


@dataclass
class _Put:
    at_seconds: float
    answer: bytes | None = None


@dataclass
class RecentQuestions:
    """Keys are whatever makes a question the same one."""

    _put: OrderedDict[Hashable, _Put] = field(default_factory=OrderedDict)

    def begin(self, key: Hashable) -> bool:
        """False where it was put before; else it counts as put."""
        now = time.monotonic()
        while self._put and (len(self._put) >= MOST or now - next(iter(self._put.values())).at_seconds > SECONDS):
            self._put.popitem(last=False)
        if key in self._put:
            return False
        self._put[key] = _Put(now)
        return True

    def end(self, key: Hashable, answer: bytes) -> None:
        """What was answered."""
        if key in self._put:
            self._put[key].answer = answer

    def forget(self, key: Hashable) -> None:
        """It got no answer, and may be put again."""
        self._put.pop(key, None)

    def answer(self, key: Hashable) -> bytes | None:
        """What was answered; None while it is on its way."""
        return self._put[key].answer if key in self._put else None
