"""What one checkpoint costs: to encode a frame, to keep it, to read a memory of it, to write a word."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.models.plain import generate
from llm.huggingface import HuggingFaceModel
from llm.prompt import conversation
from memory import Evidence, EvidenceSlot, Memory
from streamer.agent import run_agent
from streamer.model_memory import memory_of
from streamer.settings import Settings
from streamer.yard.render import render
from streamer.yard.world import World

QUESTION = "What is in the yard now?"
NUM_WORDS = 16
"""Words that are written to measure how fast."""
NOON_SECONDS = 1_795_348_800.0
REPEATS = 3
SLOW_SECONDS = 30.0
"""What takes longer is run once, and not warmed up."""
CAMERA_FPS = 2.0

Picture = NDArray[np.uint8]


def pictures(count: int) -> list[Picture]:
    """The yard as a camera of 1280 x 720 gives it, with a sensor's noise."""
    large = cv2.resize(render(World(7).state_at(NOON_SECONDS)), (1280, 720), interpolation=cv2.INTER_CUBIC)
    rng = np.random.default_rng(1)
    return [(large + rng.normal(0, 4, large.shape)).clip(0, 255).astype(np.uint8) for _ in range(count)]


def seconds_of(work: Callable[[], object], *, repeats: int = REPEATS, warm: int = 1) -> float:
    """The median of some runs, after one that is not counted."""
    for _ in range(warm):
        work()
    taken = []
    for _ in range(repeats):
        _wait()
        began = time.perf_counter()
        work()
        _wait()
        taken.append(time.perf_counter() - began)
    return median(taken)


def encoding(model: HuggingFaceModel) -> dict[str, Any]:
    """Frames per second, alone and four at a time; what of a frame's time is preprocessing; bytes per frame held."""
    some = pictures(4)
    processing = model.encoder.preprocessing
    one = seconds_of(lambda: model.encoder.encode(some[:1]))
    four = seconds_of(lambda: model.encoder.encode(some))
    pixels = seconds_of(lambda: processing.apply(some[:1], device=model.device, dtype=model.dtype), repeats=9)
    return {
        "frames_per_second": round(1 / one, 2),
        "frames_per_second_of_4": round(4 / four, 2),
        "preprocessing_ms": round(pixels * 1e3, 2),
        "tokens_per_frame": int(model.encoder.num_tokens),
        "bytes_per_frame": int(model.encoder.num_tokens * model.encoder.width * model.dtype.itemsize),
    }


def filled(model: HuggingFaceModel, num_slots: int) -> Memory:
    """A memory whose long-term part has `num_slots`: of noise, since how like they are costs nothing."""
    memory = memory_of(model)
    (seen,) = model.encoder.encode(pictures(1))
    generator = torch.Generator(device=model.device).manual_seed(1)
    now_seconds = NOON_SECONDS
    while memory.fill(0).long_term_slots < num_slots:
        noise = torch.randn(seen.shape, generator=generator, device=model.device, dtype=torch.float32)
        memory.push(0, (seen.float() + noise).to(model.dtype), time_seconds=now_seconds)
        memory.consolidate([now_seconds])
        now_seconds += 1 / CAMERA_FPS
    return memory


def answering(model: HuggingFaceModel, num_slots: int) -> dict[str, Any]:
    """A question to a memory of `num_slots`: recall, the prompt, the first word, the words after it; and once more."""
    memory = filled(model, num_slots)
    newest = memory.recall(0, now_seconds=NOON_SECONDS + 86_400, max_slots=1).newest_seconds or NOON_SECONDS
    first, again, words, freeze = [], [], [], []
    for _ in range(REPEATS):
        model._last_reading = None
        began = time.perf_counter()
        reach = memory.reach(0, now_seconds=newest)
        slots = model.max_slots(QUESTION, camera="yard", reach=reach)
        evidence = memory.recall(0, now_seconds=newest, max_slots=slots)
        _wait()
        freeze.append(time.perf_counter() - began)
        first_seconds, word_seconds = _answer(model, evidence, QUESTION, began)
        first.append(first_seconds)
        words.append(word_seconds)
        again.append(_answer(model, evidence, "Is anybody there?", time.perf_counter())[0])
    messages = conversation(evidence, QUESTION, camera="yard", system=model.system)
    return {
        "slots": num_slots,
        "slots_in_prompt": len(evidence.slots),
        "prompt_tokens": len(model.prompt_ids(messages)),
        "recall_ms": round(median(freeze) * 1e3, 2),
        "first_token_seconds": round(median(first), 3),
        "first_token_of_another_question_about_the_same_evidence_seconds": round(median(again), 3),
        "words_per_second": round(1 / median(words), 2),
    }


def _answer(model: HuggingFaceModel, evidence: Evidence, question: str, began: float) -> tuple[float, float]:
    """(seconds until the first word, seconds per word after it)."""
    steps = model.answer(evidence, question, camera="yard", max_new_tokens=NUM_WORDS)
    times = []
    for piece in steps:
        if piece.is_token:
            _wait()
            times.append(time.perf_counter())
    if len(times) < 2:
        raise RuntimeError("it ended after its first word")
    return times[0] - began, (times[-1] - times[0]) / (len(times) - 1)


def plainly(model: HuggingFaceModel, num_frames: int) -> dict[str, Any]:
    """The same question of the same number of frames in plain transformers; what the model cannot read is said."""
    some = pictures(min(num_frames, 16))
    frames = [some[index % len(some)] for index in range(num_frames)]
    times = [NOON_SECONDS + index / CAMERA_FPS for index in range(num_frames)]
    slots = tuple(EvidenceSlot("ring", time, time, 1, "", index) for index, time in enumerate(times))
    nothing = torch.empty(num_frames, model.encoder.num_tokens, model.encoder.width, device="meta")
    evidence = Evidence(0, times[-1], nothing, slots, (), times[-1], 0.0)
    ids = torch.tensor(
        [model.prompt_ids(conversation(evidence, QUESTION, camera="yard", system=model.system))], device=model.device
    )
    longest = int(model.model.config.get_text_config(decoder=True).max_position_embeddings)
    figures: dict[str, Any] = {"frames": num_frames, "prompt_tokens": ids.shape[1]}
    if ids.shape[1] + NUM_WORDS > longest:
        return {**figures, "first_token_seconds": None, "why": f"it reads {longest} tokens at most"}

    def ask() -> None:
        pixels = model.encoder.preprocessing.apply(frames, device=model.device, dtype=model.dtype)
        generate(model, pixels, ids, QUESTION, num_new=1)

    began = time.perf_counter()
    ask()
    is_slow = time.perf_counter() - began > SLOW_SECONDS
    seconds = time.perf_counter() - began if is_slow else seconds_of(ask, warm=0)
    return {**figures, "runs": 1 if is_slow else REPEATS, "first_token_seconds": round(seconds, 3)}


async def beside_a_camera(
    model: HuggingFaceModel, *, num_questions: int = 5, least_seconds: float = 15.0
) -> dict[str, Any]:
    """Questions to an agent that watches the live yard at two frames per second, every one of them encoded."""
    camera = {"url": "demo://yard?seed=7&speed=1", "fps": CAMERA_FPS, "skip_still": False}
    first: list[float] = []
    total: list[float] = []
    async with run_agent(Settings.model_validate({"cameras": {"yard": camera}}), model) as agent:
        await agent.wait_for_frame(0, timeout_seconds=60)
        await asyncio.sleep(6)
        before, began = agent.report(0), time.monotonic()
        while len(total) < num_questions or time.monotonic() - began < least_seconds:
            answer = await agent.ask(0, QUESTION).answer()
            first.append(answer.latency.first_token_seconds)
            total.append(answer.latency.total_seconds)
        passed, after = time.monotonic() - began, agent.report(0)
    return {
        "questions": len(total),
        "evidence_slots": len(answer.evidence),
        "first_token_seconds_median": round(median(first), 3),
        "answer_seconds_median": round(median(total), 3),
        "frames_encoded_per_second": round((after.num_encoded - before.num_encoded) / passed, 2),
        "frames_dropped": after.num_dropped - before.num_dropped,
    }


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
