"""Faults: what goes wrong in the program itself is told, with its traceback the first time only; repairs nothing."""

import logging
import traceback
from pathlib import Path

from streamer.secret import SecretUrl, redact

__all__ = ["MAX_KINDS", "Faults"]

log = logging.getLogger(__name__)

MAX_KINDS = 32


class Faults:
    """One camera's. A kind of fault is the error's type and the line that raised it.

    Bound: 32 kinds are remembered; of more there is no traceback.
    """

    def __init__(self, camera: str, url: SecretUrl) -> None:
        self._camera = camera
        self._url = url
        self._told: set[tuple[str, str]] = set()

    def tell(self, error: Exception) -> None:
        """From any thread. The camera's password is not told."""
        kind = type(error).__name__, _place_of(error)
        if kind in self._told or len(self._told) >= MAX_KINDS:
            log.error("camera %s: a fault in the program: %s at %s", self._camera, *kind)
            return
        self._told.add(kind)
        whole = "".join(traceback.format_exception(error))
        log.error("camera %s: a fault in the program; please report it\n%s", self._camera, redact(whole, self._url))


def _place_of(error: Exception) -> str:
    """ "file.py:12", the line that raised it."""
    places = traceback.extract_tb(error.__traceback__)
    return f"{Path(places[-1].filename).name}:{places[-1].lineno}" if places else "an unknown place"
