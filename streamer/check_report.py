"""CheckReport: what the `check` command found of one camera, for people and for programs; opens nothing itself."""

from dataclasses import dataclass
from typing import Any

from streamer.errors import CameraError

__all__ = ["CheckReport"]

_UNREACHED = ("refused", "timeout", "not_found")


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What the `check` command says of one camera; None: not known.

    url                    with user and password hidden
    decoder                "h264", or with hardware "h264 on cuda"
    hardware               devices of this machine that can decode; () on a machine with none
    transport              how an RTSP camera sends: "tcp" or "udp"
    first_frame_seconds    from the start of the check to the first picture
    fps_measured           pictures per second of the camera's clock over the first 2 to 6 s
    key_frame_seconds      from one key frame to the next; at least so long where `is_key_frame_bound`
    lag_seconds            how old a live picture was when it was handed over, against the least delayed one (median)
    error                  why it is not ok, with advice
    advice                 what to change in the camera or its address, one sentence each
    """

    ok: bool
    camera: str
    url: str
    live: bool | None = None
    codec: str | None = None
    decoder: str | None = None
    hardware: tuple[str, ...] = ()
    width: int | None = None
    height: int | None = None
    transport: str | None = None
    fps_announced: float | None = None
    fps_measured: float | None = None
    key_frame_seconds: float | None = None
    is_key_frame_bound: bool = False
    lag_seconds: float | None = None
    first_frame_seconds: float | None = None
    num_corrupt: int = 0
    error: CameraError | None = None
    advice: tuple[str, ...] = ()

    @property
    def has_picture(self) -> bool:
        return self.first_frame_seconds is not None

    @property
    def reachable(self) -> bool:
        """Something answers at the address."""
        return self.ok or (self.error is not None and self.error.code not in _UNREACHED)

    @property
    def authorised(self) -> bool | None:
        """True: it let us in; False: it did not; None: it was never asked."""
        if self.ok or self.codec is not None:
            return True
        return False if self.error is not None and self.error.code == "auth" else None

    def to_json(self) -> dict[str, Any]:
        """One object of plain values, its secrets hidden."""
        shown = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in ("error", "advice")}
        for name, value in shown.items():
            if isinstance(value, float):
                shown[name] = round(value, 3)
        error = None if self.error is None else {"code": self.error.code, "message": str(self.error)}
        return {
            **shown,
            "hardware": list(self.hardware),
            "reachable": self.reachable,
            "authorised": self.authorised,
            "error": error,
            "advice": list(self.advice),
        }
