"""Trains the bundled checkpoint on the yard from nothing: `make train`; resumable, on a CPU or a GPU.

Three stages: the eyes learn to see; with them, memories of many worlds are made as an agent makes them; then the words
learn to answer from them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors.torch import load_file, save_file
from torch import nn
from torch.utils.data import DataLoader, Subset
from transformers import AutoTokenizer

from encoders import Preprocessing
from llm.huggingface import BUNDLED_FOLDER, HuggingFaceModel, load
from llm.prompt import conversation
from streamer.yard.checkpoint import (
    PARTS_PER_SIDE,
    PICTURE_SIZE,
    new_model,
    save_model,
    save_tokenizer,
    train_tokenizer,
)
from streamer.yard.descent import descend, is_fast_in_bfloat16, learning_rate, optimiser_of
from streamer.yard.digest import DigestHelper
from streamer.yard.drilling import drill_batches, loss_of_drills
from streamer.yard.fingerprint import stamp
from streamer.yard.histories import draw_history, save_history
from streamer.yard.lessons import (
    FIRST_TRAINING_SEED,
    FOREIGN_SHARE,
    PictureLessons,
    draw_camera,
    draw_evidence,
    draw_exchanges,
    draw_foreign_exchanges,
    draw_scene,
)
from streamer.yard.picture_pairs import PicturePairs, collate_pairs
from streamer.yard.questions import Exchange, draw_question
from streamer.yard.remembering import MemoryLessons, loss_of
from streamer.yard.seeing import CONTENTS_SHARE, LIKENESS_SHARE, PARTS_SHARE, Eyes
from streamer.yard.telling import collate, loss_of_pictures

SEED = 2307
BATCH_SIZE = 32
SAVE_EVERY_STEPS = 200
SEEING_RATE, SEEING_WARM = 1e-3, 200
REMEMBERING_RATE, REMEMBERING_WARM = 1e-3, 150
HELPER_SHARE = 1.0
PICTURES_EVERY_STEPS = 8
"""So often a batch of single pictures, while it learns to remember: it shall not forget them, nor what is no yard."""

DRILLS_EVERY_STEPS = 4
"""So often a batch of exercises without a memory: which was first, how long, how often."""

Device = Annotated[str, typer.Option(help="cpu or cuda.")]
_COLUMNS = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
_DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def tokenizer_texts(num_texts: int = 4000) -> Iterator[str]:
    """The yard's language: prompts, questions and answers of all classes as they will be asked."""
    rng = np.random.default_rng(SEED)
    for _ in range(num_texts):
        world, now_seconds = draw_scene(rng)
        evidence = draw_evidence(now_seconds, int(rng.integers(0, 6)), rng)
        if rng.random() < FOREIGN_SHARE:
            exchanges = draw_foreign_exchanges(world, now_seconds, rng)
        else:
            exchanges = draw_exchanges(world.state_at(now_seconds), rng)
        since_seconds = now_seconds - float(rng.choice((300.0, 1800.0, 7200.0)))
        asked = [draw_question(world, since_seconds, now_seconds, rng) for _ in range(4)]
        for exchange in [*exchanges, *(Exchange(each.text, each.answer) for each in asked)]:
            yield f" {exchange.answer}\nUser: {exchange.question}\nAssistant:"
        for message in conversation(evidence, exchanges[0].question, camera=draw_camera(rng)):
            yield f"{message['role'].capitalize()}: " + "".join(
                part["text"] for part in message["content"] if part["type"] == "text"
            )


def main(
    folder: Annotated[Path, typer.Option(help="Where the checkpoint is written.")] = BUNDLED_FOLDER,
    state_folder: Annotated[Path, typer.Option(help="Where an unfinished run is kept.")] = Path(".train"),
    num_pictures: Annotated[
        int, typer.Option(help="How many pictures to learn to see from; 0: keep the eyes.")
    ] = 320_000,
    num_histories: Annotated[int, typer.Option(help="How many worlds to remember.")] = 2_000,
    num_steps: Annotated[int, typer.Option(help="Steps of learning to answer from memories.")] = 10_000,
    begin: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Words to go on with, for example training/words.safetensors; keeps the eyes.",
        ),
    ] = None,
    device: Device = _DEVICE,
    num_workers: Annotated[int, typer.Option(help="Processes that draw pictures and questions.")] = 1,
) -> None:
    """Train the bundled checkpoint; a run that was stopped goes on where it was last saved, a finished one anew."""
    random.seed(SEED)
    state_folder.mkdir(parents=True, exist_ok=True)
    with Progress(*_COLUMNS) as progress:
        if begin is not None and not (state_folder / "remembering.pt").exists():
            begin_with(begin, folder)
        elif num_pictures and not (state_folder / "seen").exists():
            see(folder, state_folder, num_pictures, device, num_workers, progress)
            (state_folder / "seen").touch()
        histories = make_histories(folder, state_folder / "histories", num_histories, num_workers + 1, progress)
        remember(folder, state_folder, histories, num_steps, device, num_workers, progress, begin=begin)
    stamp(folder)
    for name in ("seen", "remembering.pt", "seeing.pt", "words.safetensors"):
        (state_folder / name).unlink(missing_ok=True)


def see(folder: Path, state_folder: Path, num_pictures: int, device: str, num_workers: int, progress: Progress) -> None:
    """The first stage, from random weights: the eyes alone."""
    saved = state_folder / "seeing.pt"
    if saved.is_file():  # its words must stay the same
        tokenizer = AutoTokenizer.from_pretrained(folder)
    else:
        tokenizer = train_tokenizer(tokenizer_texts())
        save_tokenizer(tokenizer, folder)
    raw = new_model(tokenizer, seed=SEED).to(device)
    preprocessing = Preprocessing.from_folder(folder, size=(PICTURE_SIZE, PICTURE_SIZE))
    eyes = Eyes(raw, preprocessing).to(device)
    optimiser = optimiser_of(eyes)
    first_step = _resume(saved, eyes, optimiser, device)
    num_steps = num_pictures // BATCH_SIZE
    pairs = PicturePairs(preprocessing, side=PARTS_PER_SIDE, seed=SEED, num_pictures=num_steps * BATCH_SIZE)
    bar = progress.add_task("seeing", total=num_steps, completed=first_step)
    for step, batch in enumerate(_batches(pairs, first_step, num_workers, collate_pairs), start=first_step):
        with _autocast(device):
            parts, likeness, contents = eyes(batch.to(device))
        loss = PARTS_SHARE * parts + LIKENESS_SHARE * likeness + CONTENTS_SHARE * contents
        descend(eyes, optimiser, loss, learning_rate(step, num_steps, peak=SEEING_RATE, num_warm=SEEING_WARM))
        figures = f"parts {parts.item():.4f} likeness {likeness.item():.4f} contents {contents.item():.4f}"
        progress.update(bar, advance=1, description=f"seeing: {figures}")
        if (step + 1) % SAVE_EVERY_STEPS == 0 or step + 1 == num_steps:
            progress.console.print(f"step {step + 1}: {figures}")
            _save(saved, eyes, optimiser, step + 1)
            save_model(raw, folder)


def save_words(learner: nn.ModuleDict, file: Path) -> None:
    """The words and their helper in float16, for another run to go on with."""
    kept = {name: value.half().contiguous() for name, value in learner.state_dict().items() if _is_word(name)}
    save_file(kept, file)


def begin_with(file: Path, folder: Path) -> None:
    """Into `folder` goes the checkpoint with its own eyes and the words of `file`, whatever words it had."""
    grown = new_model(AutoTokenizer.from_pretrained(folder), seed=SEED)
    before, kept = load(str(folder)).model.state_dict(), load_file(file)
    eyes = {name: value for name, value in before.items() if not _is_word(name)}
    words = {name.removeprefix("model."): value for name, value in kept.items() if name.startswith("model.")}
    grown.load_state_dict({**eyes, **words})
    save_model(grown, folder)


def _is_word(name: str) -> bool:
    """Of a learner's parameters: not the eyes'."""
    return "vision_model" not in name and "connector" not in name


def make_histories(folder: Path, where: Path, count: int, num_processes: int, progress: Progress) -> list[Path]:
    """The second stage: files with memories of `count` worlds; those that are there already stay."""
    where.mkdir(parents=True, exist_ok=True)
    paths = [where / f"{number:05}.pt" for number in range(count)]
    missing = [(str(folder), str(path), number) for number, path in enumerate(paths) if not path.exists()]
    bar = progress.add_task("memories", total=count, completed=count - len(missing))
    with get_context("spawn").Pool(num_processes) as pool:
        for _ in pool.imap_unordered(_make_history, missing):
            progress.advance(bar)
    return paths


def _make_history(job: tuple[str, str, int]) -> None:
    folder, path, number = job
    torch.set_num_threads(1)
    rng = np.random.default_rng([SEED, number, 2])
    seed = int(rng.integers(FIRST_TRAINING_SEED, 1 << 30))
    save_history(list(draw_history(_model_in(folder).encoder, rng, seed=seed)), Path(path))


_models: dict[str, HuggingFaceModel] = {}


def _model_in(folder: str) -> HuggingFaceModel:
    """Loaded once per process."""
    if folder not in _models:
        _models[folder] = load(folder, device="cpu")
    return _models[folder]


def remember(
    folder: Path,
    state_folder: Path,
    histories: list[Path],
    num_steps: int,
    device: str,
    num_workers: int,
    progress: Progress,
    *,
    begin: Path | None = None,
) -> None:
    """The third stage: the words learn to answer from memories; the eyes are fixed. `begin` has the words' helper."""
    saved = state_folder / "remembering.pt"
    model = load(str(folder), device=device, dtype=torch.float32)
    model.model.train()
    for part in (model.model.model.vision_model, model.model.model.connector):
        part.requires_grad_(False)
    learner = nn.ModuleDict({"model": model.model, "digest": DigestHelper(model.encoder.width)}).to(device)
    if begin is not None:
        helper = {name.removeprefix("digest."): value for name, value in load_file(begin).items() if "digest." in name}
        learner["digest"].load_state_dict(helper)
    optimiser = optimiser_of(learner)
    first_step = _resume(saved, learner, optimiser, device)
    lessons = MemoryLessons(model, histories, seed=SEED + first_step, num_before=first_step)
    memories = iter(DataLoader(lessons, batch_size=None, num_workers=num_workers))
    told = PictureLessons(model, seed=SEED, num_lessons=num_steps * BATCH_SIZE, batch_size=BATCH_SIZE)
    pictures = iter(_batches(told, first_step // PICTURES_EVERY_STEPS, 0, collate))
    bar = progress.add_task("remembering", total=num_steps, completed=first_step)
    drills = drill_batches(model, seed=SEED + first_step)
    shown, drilled = "", torch.zeros(())
    for step in range(first_step, num_steps):
        with _autocast(device):
            if step % PICTURES_EVERY_STEPS == PICTURES_EVERY_STEPS - 1:
                loss = loss_of_pictures(model, next(pictures), device)
            elif step % DRILLS_EVERY_STEPS == DRILLS_EVERY_STEPS - 2:
                loss, drilled = loss_of_drills(model, *next(drills), device)
            else:
                words, helped, right = loss_of(model, next(memories), device, learner["digest"])
                loss = words + HELPER_SHARE * helped
                shown = (
                    f"words {words.item():.3f} digest {helped.item():.3f} right {right.item():.1%} "
                    f"drills {drilled.item():.1%}"
                )
        rate = learning_rate(step, num_steps, peak=REMEMBERING_RATE, num_warm=REMEMBERING_WARM)
        descend(learner, optimiser, loss, rate)
        progress.update(bar, advance=1, description=f"remembering: {shown}")
        if (step + 1) % SAVE_EVERY_STEPS == 0 or step + 1 == num_steps:
            progress.console.print(f"step {step + 1}: {shown}")
            _save(saved, learner, optimiser, step + 1)
            save_model(model.model, folder)
            save_words(learner, state_folder / "words.safetensors")


def _autocast(device: str) -> torch.autocast:
    return torch.autocast(device.split(":")[0], torch.bfloat16, enabled=is_fast_in_bfloat16(device))


def _batches(lessons: Any, first_step: int, num_workers: int, collate: Callable[[list[Any]], Any]) -> Any:
    remaining = Subset(lessons, range(first_step * BATCH_SIZE, len(lessons)))
    return DataLoader(remaining, batch_size=BATCH_SIZE, num_workers=num_workers, collate_fn=collate)


def _save(saved: Path, learner: nn.Module, optimiser: torch.optim.Optimizer, step: int) -> None:
    half_written = saved.with_suffix(".part")
    torch.save({"learner": learner.state_dict(), "optimiser": optimiser.state_dict(), "step": step}, half_written)
    half_written.replace(saved)


def _resume(saved: Path, learner: nn.Module, optimiser: torch.optim.Optimizer, device: str) -> int:
    if not saved.is_file():
        return 0
    state = torch.load(saved, map_location=device, weights_only=True)
    learner.load_state_dict(state["learner"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"])


if __name__ == "__main__":
    typer.run(main)
