"""What can go wrong between the world and an answer, one line a person can act on; knows no library's own errors.

LongwatchError                 the message is for a person: what, where (secrets hidden), what to do
├── SettingsError              the configuration cannot be used
├── CameraError(code, ...)     a camera gives no pictures; `code` says why
├── ModelError                 a model cannot be loaded or fails
├── ExportError                an archive cannot be written out
└── QuestionError              a question gets no answer
    ├── BusyError              too many questions wait already
    └── NotReadyError          the camera has not given a frame yet
"""

from typing import Literal, get_args

__all__ = [
    "BusyError",
    "CameraError",
    "CameraErrorCode",
    "ExportError",
    "LongwatchError",
    "ModelError",
    "NotReadyError",
    "QuestionError",
    "SettingsError",
]

CameraErrorCode = Literal["auth", "not_found", "refused", "timeout", "tls", "codec", "unsupported", "ended", "lost"]


class LongwatchError(Exception):
    """Root of the tree; `str(error)` is one line (or a few) for the person reading the log."""


class SettingsError(LongwatchError):
    """The configuration cannot be used; the message names file, key, what was expected and what to do."""


class CameraError(LongwatchError):
    """A camera gives no pictures.

    code   auth: user or password; not_found: host, path or file; refused: nobody listens, or not for us;
           timeout: no reply in time; tls: no secure connection; codec: no video we can decode;
           unsupported: a kind of source we cannot open; ended: a finite source is over; lost: a stream broke off
    """

    def __init__(self, code: CameraErrorCode, message: str) -> None:
        if code not in get_args(CameraErrorCode):
            raise ValueError(f"unknown camera error code {code!r}, expected one of {get_args(CameraErrorCode)}")
        super().__init__(code, message)
        self.code: CameraErrorCode = code
        self.message = message

    def __str__(self) -> str:
        return self.message


class ModelError(LongwatchError):
    """A model cannot be loaded, or failed while it worked."""


class ExportError(LongwatchError):
    """Nothing is there to be exported, or its pictures cannot be written."""


class QuestionError(LongwatchError):
    """A question gets no answer."""


class BusyError(QuestionError):
    """Too many questions wait already; ask again later."""


class NotReadyError(QuestionError):
    """There is nothing to answer from yet: the camera has given no frame."""
