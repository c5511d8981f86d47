"""CameraState: what a person wants to know of a camera; knows no camera."""

from dataclasses import dataclass, replace
from typing import Literal

from streamer.errors import CameraError

__all__ = ["CameraState", "CameraStatus"]

CameraStatus = Literal["connecting", "live", "stale", "offline", "disabled", "ended"]


@dataclass(frozen=True, slots=True)
class CameraState:
    """What a person wants to know of a camera.

    status      connecting: no frame yet; live: pictures come; stale: open, but none for a while; offline: lost,
                and tried again; disabled: not wanted; ended: a finite source is over
    error       why it is offline, or ended early
    last_error  the newest error, also after all is well again; `last_error_seconds` says when it came
    """

    status: CameraStatus
    since_seconds: float
    error: CameraError | None = None
    last_error: CameraError | None = None
    last_error_seconds: float | None = None

    def after(self, status: CameraStatus, error: CameraError | None, *, now_seconds: float) -> "CameraState":
        """The next state; `since_seconds` and the last error live on where they are still true."""
        since_seconds = self.since_seconds if self.status == status else now_seconds
        state = replace(self, status=status, since_seconds=since_seconds, error=error)
        return state if error is None else replace(state, last_error=error, last_error_seconds=now_seconds)

    def is_news_after(self, before: "CameraState") -> bool:
        """True where it is another state, or has another kind of error."""
        error, other = self.error, before.error
        return self.status != before.status or (error and error.code) != (other and other.code)
