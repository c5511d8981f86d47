"""What loading and answering really takes, in a process of its own: `python -m tests.llm.loading FOLDER`."""

from __future__ import annotations

import json
import re
import sys
from datetime import datetime
from pathlib import Path

import numpy as np
import torch

from llm.choosing import Place, judge
from llm.huggingface import load
from memory import Evidence, EvidenceSlot, Memory

NOON = datetime(2026, 11, 28, 12, 0, 0).timestamp()


def resident(field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def main(folder: str) -> None:
    """Bytes that this process grew by, at the end and at the most, beside what was told before."""
    place = Place(torch.device("cpu"), torch.float32)
    judged = judge(folder, Path(folder), place)
    assert judged.shape is not None
    need = place.needs(judged.shape)
    before = resident("VmRSS")
    model = load(folder, device="cpu")
    after_loading = resident("VmRSS")
    encoder = model.encoder
    memory = Memory(1, num_tokens=encoder.num_tokens, width=encoder.width, max_slots=64)
    pictures = [np.zeros((360, 640, 3), np.uint8)] * 8
    count = judged.shape.prompt_tokens // (judged.shape.num_read + 40)
    tokens = encoder.encode(pictures)[:1].expand(count, -1, -1)
    spans = [(NOON - count + index, NOON - count + index + 1) for index in range(count)]
    slots = tuple(EvidenceSlot("ring", *span, 1, "", index) for index, span in enumerate(spans))
    evidence = Evidence(0, NOON, tokens, slots, (), NOON, 0.0)
    pieces = list(model.answer(evidence, "What is happening?", camera="camera", max_new_tokens=8))
    told = {
        "told": need.total,
        "weights": need.weights,
        "cache": need.cache,
        "memory": need.memory,
        "working": need.working,
        "loading": after_loading - before,
        "grown": resident("VmRSS") - before,
        "most": resident("VmHWM") - before,
        "real_memory": memory.nbytes,
        "chunks": sum(not piece.is_token for piece in pieces),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1])
