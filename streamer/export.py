"""Moments of the archive as JSON Lines, with their pictures; no model is needed."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from memory import ArchiveError, ArchiveReader, EncoderKind
from streamer.errors import ExportError
from streamer.times import Span

_NO_ENCODER = EncoderKind("", 1, 1)
_MOST = 1 << 62


def export_lines(folder: Path, camera: str, span: Span, *, pictures: Path | None = None) -> Iterator[str]:
    """One JSON object per moment, oldest first: times in seconds and as text, note, and the JPEG in base64.

    pictures  a folder: JPEGs are written there, and lines have their names instead

    Raises: ExportError, one line that says what to do.
    """
    try:
        with ArchiveReader(folder, encoder=_NO_ENCODER) as archive:
            if camera not in (cameras := archive.cameras()):
                known = f"it has: {', '.join(cameras)}" if cameras else "it is empty"
                raise ExportError(f"the archive knows no camera {camera!r}; {known}")
            if pictures is not None:
                pictures.mkdir(parents=True, exist_ok=True)
            kept = archive.newest(
                camera, most=_MOST, until_seconds=span.until_seconds, since_seconds=span.since_seconds
            )
            for moment in kept:
                line = {
                    "moment_id": moment.moment_id,
                    "camera": camera,
                    "start_seconds": round(moment.start_seconds, 3),
                    "end_seconds": round(moment.end_seconds, 3),
                    "start": _text(moment.start_seconds),
                    "end": _text(moment.end_seconds),
                    "weight": moment.weight,
                    "gap_before": moment.gap_before,
                    "note": moment.note,
                }
                if jpeg := archive.picture(moment.moment_id):
                    line["picture"] = _put(jpeg, pictures, f"{camera}-{moment.moment_id}.jpg")
                yield json.dumps(line, ensure_ascii=False)
    except ArchiveError as error:
        raise ExportError(str(error)) from error
    except OSError as error:
        raise ExportError(f"{pictures}: pictures cannot be written there ({error.strerror})") from error


def _put(jpeg: bytes, folder: Path | None, name: str) -> str:
    if folder is None:
        return b64encode(jpeg).decode("ascii")
    (folder / name).write_bytes(jpeg)
    return name


def _text(seconds: float) -> str:
    """With the offset of this machine's time zone."""
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")
