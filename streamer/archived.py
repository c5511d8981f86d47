"""What the archive has of a time, as evidence for a question that is put as if it were then.

The disk is read in a thread of its own, so that no frame waits for it; only the merging is the device's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from llm.base import LanguageModel
from llm.prompt import STALE_SECONDS
from memory import (
    ArchiveReader,
    Chosen,
    EncoderKind,
    Evidence,
    KeptCamera,
    QuantisedTokens,
    Reach,
    quantise,
    recall_kept,
)
from streamer.device import DeviceThread, Priority
from streamer.errors import QuestionError
from streamer.model_memory import MAX_EVIDENCE_SLOTS, kind_of
from streamer.picture import decode_jpeg
from streamer.times import Span

MOST_ANEW, ANEW_AT_ONCE = 32, 4
"""Where tokens are another encoder's, or were let go, pictures are encoded anew: so many for one question, and so many
in one job, between which a camera's frames are encoded."""
MOST_MOMENTS, MOST_BYTES = 512, 256 * 1024 * 1024
"""So many moments are looked at for one question, and so many bytes of their tokens in 32 bits: one about a year ago
takes no longer than one about yesterday."""


@dataclass(frozen=True)
class Archived:
    """What was kept of a camera; `camera_kind` is what opened it then, "" where that was not told."""

    evidence: Evidence
    camera_kind: str


@dataclass(frozen=True)
class _Read:
    """What came from disk: pictures, uint8 [H, W, 3] RGB, are of moments that have no tokens which can be read."""

    chosen: Chosen
    pictures: dict[int, NDArray[np.uint8]]
    camera_kind: str


async def recall_archived(
    model: LanguageModel, device: DeviceThread, folder: Path, camera: str, question: str, span: Span
) -> Archived:
    """What the archive has of a span, merged to fit the model's budget as memory merges it.

    Raises: ArchiveError; QuestionError where it has nothing of that camera and time.
    """
    kind = kind_of(model)
    read = await asyncio.to_thread(_read, kind, folder, camera, question, span)
    anew: dict[int, QuantisedTokens] = {}
    moment_ids = list(read.pictures)
    for first in range(0, len(moment_ids), ANEW_AT_ONCE):
        part = moment_ids[first : first + ANEW_AT_ONCE]
        encode = partial(_encode, model, [read.pictures[moment_id] for moment_id in part])
        anew |= zip(part, await device.run(Priority.FREEZE, encode), strict=True)
    chosen = _readable(read.chosen, anew)
    evidence = await device.run(Priority.FREEZE, lambda: _merge(model, chosen, camera, question, span))
    return Archived(await asyncio.to_thread(_with_pictures, kind, folder, evidence), read.camera_kind)


def _read(kind: EncoderKind, folder: Path, camera: str, question: str, span: Span) -> _Read:
    most = max(1, min(MOST_MOMENTS, MOST_BYTES // (4 * kind.num_tokens * kind.width)))
    with ArchiveReader(folder, encoder=kind) as archive:
        chosen = archive.choose(
            camera, question, since_seconds=span.since_seconds, until_seconds=span.until_seconds, most=most
        )
        pictures = dict(_pictures(archive, chosen))
        if not pictures and all(moment.tokens is None for moment in chosen.moments):
            raise QuestionError(_nothing(archive.cameras(), camera, has_some=bool(chosen.moments)))
        return _Read(chosen, pictures, archive.kind(camera))


def _pictures(archive: ArchiveReader, chosen: Chosen) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Of moments without tokens, evenly, the newest among them."""
    lacking = [moment.moment_id for moment in chosen.moments if moment.tokens is None]
    for place in np.linspace(len(lacking) - 1, 0, num=min(len(lacking), MOST_ANEW)).round().astype(int):
        pixels = decode_jpeg(archive.picture(lacking[place]))
        if pixels is not None:
            yield lacking[place], pixels


def _encode(model: LanguageModel, pictures: list[NDArray[np.uint8]]) -> list[QuantisedTokens]:
    """On the device thread."""
    return quantise(model.encoder.encode(pictures))


def _readable(chosen: Chosen, anew: dict[int, QuantisedTokens]) -> Chosen:
    with_tokens = (replace(moment, tokens=moment.tokens or anew.get(moment.moment_id)) for moment in chosen.moments)
    return replace(chosen, moments=tuple(moment for moment in with_tokens if moment.tokens is not None))


def _merge(model: LanguageModel, chosen: Chosen, camera: str, question: str, span: Span) -> Evidence:
    reach = Reach(chosen.moments[0].start_seconds, span.until_seconds, len(chosen.gaps))
    return recall_kept(
        chosen,
        now_seconds=span.until_seconds,
        max_slots=min(MAX_EVIDENCE_SLOTS, model.max_slots(question, camera=camera, reach=reach)),
        similarity_width=model.encoder.similarity_width,
        dtype=model.dtype,
        device=model.device,
    )


def _with_pictures(kind: EncoderKind, folder: Path, evidence: Evidence) -> Evidence:
    with ArchiveReader(folder, encoder=kind) as archive:
        slots = tuple(replace(slot, picture=archive.picture(slot.slot_id)) for slot in evidence.slots)
    return replace(evidence, slots=slots)


def _nothing(cameras: dict[str, KeptCamera], camera: str, *, has_some: bool) -> str:
    if has_some:
        return (
            f"what the archive has of {camera} then was seen by another model's encoder, and has no pictures; ask with "
            "that --model"
        )
    if not cameras:
        return "the archive is empty"
    if camera not in cameras:
        return f"the archive knows no camera {camera!r}; it has: {', '.join(cameras)}"
    first, last = (time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds)) for seconds in cameras[camera][:2])
    return f"the archive has nothing of {camera} from then; it goes from {first} to {last}"


def foreword(evidence: Evidence) -> str:
    """What is said before any model's words, where the camera gave nothing then."""
    age_seconds = evidence.frame_age_seconds or 0.0
    return f"(The newest picture of then is {age_seconds:.0f} s older.) " if age_seconds > STALE_SECONDS else ""


def strangeness(model: LanguageModel, camera_kind: str) -> str:
    """What is said before the words of a model that knows one kind of camera alone; "" is not known."""
    if model.knows_only is not None and camera_kind and model.knows_only != camera_kind:
        return "(The bundled model knows only the built-in yard; about this camera it can but guess.) "
    return ""
