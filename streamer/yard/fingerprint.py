"""What the bundled checkpoint was trained on, as a hash: memory's way of keeping, sampling, prompt and preprocessing.

Not the code is hashed, but what it does with a small case, so that a tidied file changes nothing and a changed ring
does. The model card's folder holds it in longwatch.json; a test fails where the two differ, and `make train` repairs.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from encoders import Preprocessing
from llm.prompt import NOTE_REQUEST, conversation
from memory import Evidence, Memory
from streamer.look import HEARTBEAT_SECONDS
from streamer.settings import CameraSettings
from streamer.yard.checkpoint import CHAT_TEMPLATE, PICTURE_SIZE, PROMPT_TOKENS

CARD_KEY = "trained_on"
_NUM_FRAMES, _LAST_BEFORE_GAP = 2700, 2598
_GAP_SECONDS, _NOW_SECONDS = _LAST_BEFORE_GAP / 2, 1450.0


def fingerprint(folder: Path) -> str:
    """Of the code as it is, with the preprocessing of `folder`; 16 hexadecimal digits."""
    memory = _filled()
    evidence = memory.recall(0, now_seconds=_NOW_SECONDS, max_slots=12)
    facts = json.dumps(
        [_memory_facts(memory, evidence), _prompt_facts(evidence), _picture_facts(folder)], sort_keys=True
    )
    return hashlib.sha256(facts.encode()).hexdigest()[:16]


def stamp(folder: Path) -> None:
    """Writes the fingerprint into `folder`/longwatch.json."""
    file = folder / "longwatch.json"
    card = json.loads(file.read_text())
    file.write_text(json.dumps({**card, CARD_KEY: fingerprint(folder)}, indent=2) + "\n")


def stamped(folder: Path) -> str | None:
    """What `stamp` wrote."""
    found = json.loads((folder / "longwatch.json").read_text()).get(CARD_KEY)
    return None if found is None else str(found)


def _filled() -> Memory:
    """A memory with all that happens to one: new frames, still ones, a gap, and more than it can hold."""
    memory = Memory(1, num_tokens=2, width=3, max_slots=12)
    for index in range(_NUM_FRAMES):
        seconds = index / 2 + (100.0 if index > _LAST_BEFORE_GAP else 0.0)
        tokens = torch.tensor([[float(index % 7), 1.0, 0.0], [float(index // 50 % 5), 2.0, 1.0]])
        if index % 9 == 4:
            memory.extend(0, start_seconds=seconds, end_seconds=seconds)
        else:
            memory.push(
                0,
                tokens,
                time_seconds=seconds,
                gap_start_seconds=_GAP_SECONDS if index == _LAST_BEFORE_GAP + 1 else None,
            )
        memory.consolidate([seconds])
    return memory


def _memory_facts(memory: Memory, evidence: Evidence) -> list[object]:
    slots = [[slot.tier, slot.start_seconds, slot.end_seconds, slot.weight] for slot in evidence.slots]
    fps = CameraSettings.model_fields["fps"].default
    return [slots, list(map(str, evidence.gaps)), asdict(memory.fill(0)), fps, HEARTBEAT_SECONDS]


def _prompt_facts(evidence: Evidence) -> list[object]:
    """Without its digits and names of days, which differ with the time zone."""
    messages = conversation(evidence, NOTE_REQUEST, camera="yard")
    text = "".join(part["text"] if part["type"] == "text" else "<>" for each in messages for part in each["content"])
    return [re.sub(r"\w+day", "day", re.sub(r"\d", "0", text)), CHAT_TEMPLATE, PROMPT_TOKENS]


def _picture_facts(folder: Path) -> list[object]:
    """Of a picture of four plain colours: the same to the last bit on every machine."""
    preprocessing = Preprocessing.from_folder(folder, size=(PICTURE_SIZE, PICTURE_SIZE))
    picture = np.zeros((2 * PICTURE_SIZE, 4 * PICTURE_SIZE, 3), np.uint8)
    picture[:PICTURE_SIZE], picture[:, PICTURE_SIZE:] = (200, 10, 40), (30, 90, 250)
    planes = preprocessing.resize(torch.from_numpy(picture)[None])
    corners = planes[0, :, :: PICTURE_SIZE // 2 + 1, :: PICTURE_SIZE - 1].tolist()
    return [list(planes.shape), corners, list(map(str, (preprocessing.mean, preprocessing.std, preprocessing.rescale)))]
