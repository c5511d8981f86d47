"""Trains the bundled checkpoint on the yard from nothing: `make train`; resumable, on a CPU or a GPU."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Subset
from transformers import AutoTokenizer

from encoders import Preprocessing
from llm.huggingface import BUNDLED_FOLDER, HuggingFaceModel
from llm.prompt import conversation
from streamer.yard.checkpoint import PICTURE_SIZE, new_model, save_model, save_tokenizer, train_tokenizer
from streamer.yard.lessons import (
    IGNORED,
    NUM_LABELS,
    Lesson,
    PictureLessons,
    draw_camera,
    draw_evidence,
    draw_exchanges,
    draw_state,
)

SEED = 2307
BATCH_SIZE = 32
PEAK_LEARNING_RATE = 8e-4
WARMUP_STEPS = 400
SAVE_EVERY_STEPS = 200
SEEING_SHARE = 2 / 3
"""Of all steps: first it learns to see and to say what it sees, then, its eyes fixed, to read long memories."""


@dataclass(frozen=True)
class Batch:
    """planes uint8 [P, 3, S, S]; ids, labels int64 [C, L], padded; grid [P, G, labels]; owners [C] each conversation's
    picture; num_earlier slots before it."""

    planes: Tensor
    ids: Tensor
    labels: Tensor
    grid: Tensor
    owners: Tensor
    num_earlier: int


def collate(lessons: list[Lesson]) -> Batch:
    owners = [place for place, lesson in enumerate(lessons) if len(lesson.ids)]
    return Batch(
        planes=torch.stack([lesson.planes for lesson in lessons]),
        ids=pad_sequence([lessons[place].ids for place in owners], batch_first=True),
        labels=pad_sequence([lessons[place].labels for place in owners], batch_first=True, padding_value=IGNORED),
        grid=torch.stack([lesson.grid for lesson in lessons]),
        owners=torch.tensor(owners),
        num_earlier=lessons[0].num_earlier,
    )


def tokenizer_texts(num_texts: int = 4000) -> Iterator[str]:
    """The yard's language: prompts, questions and answers as they will be asked."""
    rng = np.random.default_rng(SEED)
    for _ in range(num_texts):
        state = draw_state(rng)
        evidence = draw_evidence(state.time_seconds, int(rng.integers(0, 4)), rng)
        for exchange in draw_exchanges(state, rng, is_foreign=rng.random() < 0.05):
            yield f" {exchange.answer}\nUser: {exchange.question}\nAssistant:"
            for message in conversation(evidence, exchange.question, camera=draw_camera(rng)):
                yield f"{message['role'].capitalize()}: " + "".join(
                    part["text"] for part in message["content"] if part["type"] == "text"
                )


class Lecturer(nn.Module):
    """The model and, while it learns, a helper head that asks each picture token what stands in its part."""

    def __init__(self, model: HuggingFaceModel) -> None:
        super().__init__()
        self.wrapped = model
        self.model = model.model
        self.helper = nn.Linear(model.encoder.width, NUM_LABELS)

    def forward(self, batch: Batch, *, sees: bool) -> tuple[Tensor, Tensor, Tensor]:
        """(loss of the words, of the helper, share of answer tokens that are right); `sees`: the eyes learn too."""
        preprocessing = self.wrapped.encoder.preprocessing
        pixels = preprocessing.normalise(batch.planes, torch.float32)
        with torch.set_grad_enabled(sees):
            tokens = torch.stack(list(self.model.get_image_features(pixel_values=pixels[:, None]).pooler_output))
        slots = self._with_earlier(tokens, batch)
        embeds = self.wrapped.embed(batch.ids, slots.flatten(0, 1))
        hidden = self.model.model.text_model(inputs_embeds=embeds, use_cache=False).last_hidden_state
        taught = batch.labels[:, 1:] != IGNORED
        logits = self.model.lm_head(hidden[:, :-1][taught])
        wanted = batch.labels[:, 1:][taught]
        words = cross_entropy(logits, wanted)
        weight = torch.full((NUM_LABELS,), 8.0, device=tokens.device)
        weight[-3:] = 1.0
        helper = binary_cross_entropy_with_logits(self.helper(tokens), batch.grid, pos_weight=weight)
        return words, helper, (logits.argmax(-1) == wanted).float().mean()

    @staticmethod
    def _with_earlier(tokens: Tensor, batch: Batch) -> Tensor:
        """[C, num_earlier + 1, N, W]: earlier slots, then the conversation's own picture.

        An earlier slot is another picture of the batch, some of them merged with a third, with a share of its parts
        (none to all) as they are in the conversation's own: the same yard, when other things stood in it.
        """
        own = tokens[batch.owners][:, None]
        if not batch.num_earlier:
            return own
        others = tokens.detach()
        shape = (len(batch.owners), batch.num_earlier)
        first, second = (torch.randint(len(tokens), shape, device=tokens.device) for _ in range(2))
        share = torch.rand(*shape, 1, 1, device=tokens.device).clamp(min=0.5)
        share = torch.where(torch.rand_like(share) < 0.5, torch.ones_like(share), share)
        earlier = others[first] * share + others[second] * (1 - share)
        is_own = torch.rand(*shape, tokens.shape[1], 1, device=tokens.device) < torch.rand_like(share)
        return torch.cat([torch.where(is_own, own.detach(), earlier), own], dim=1)


def learning_rate(step: int, num_steps: int) -> float:
    """Half a cosine per stage: to 0.3 of the peak while it learns to see, then from 0.7 of it to nearly nothing."""
    if step < WARMUP_STEPS:
        return PEAK_LEARNING_RATE * (step + 1) / WARMUP_STEPS
    seeing = round(num_steps * SEEING_SHARE)
    start, end, first, last = (1.0, 0.3, WARMUP_STEPS, seeing) if step < seeing else (0.7, 0.01, seeing, num_steps)
    done = min(1.0, (step - first) / max(1, last - first))
    return PEAK_LEARNING_RATE * (end + (start - end) * 0.5 * (1 + math.cos(math.pi * done)))


def main(
    folder: Annotated[Path, typer.Option(help="Where the checkpoint is written.")] = BUNDLED_FOLDER,
    state_folder: Annotated[Path, typer.Option(help="Where an unfinished run is kept.")] = Path(".train"),
    num_pictures: Annotated[int, typer.Option(help="How many pictures to learn from.")] = 96_000,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cuda" if torch.cuda.is_available() else "cpu",
    num_workers: Annotated[int, typer.Option(help="Processes that draw pictures.")] = 1,
) -> None:
    """Train the bundled checkpoint; a run that was stopped goes on where it was last saved, a finished one anew."""
    random.seed(SEED)
    state_folder.mkdir(parents=True, exist_ok=True)
    saved = state_folder / "run.pt"
    if saved.is_file():  # its words must stay the same
        tokenizer = AutoTokenizer.from_pretrained(folder)
    else:
        tokenizer = train_tokenizer(tokenizer_texts())
        save_tokenizer(tokenizer, folder)
    raw = new_model(tokenizer, seed=SEED).to(device)
    preprocessing = Preprocessing.from_folder(folder, size=PICTURE_SIZE)
    model = HuggingFaceModel(raw, tokenizer, preprocessing, name="bundled", card={})
    lecturer = Lecturer(model).to(device)
    optimiser = torch.optim.AdamW(_groups(lecturer), lr=PEAK_LEARNING_RATE, betas=(0.9, 0.98))
    first_step = _resume(saved, lecturer, optimiser)
    num_steps = num_pictures // BATCH_SIZE
    seeing = round(num_steps * SEEING_SHARE)
    num_lessons = num_steps * BATCH_SIZE
    lessons = PictureLessons(model, seed=SEED, num_lessons=num_lessons, batch_size=BATCH_SIZE, remembering_from=seeing)
    remaining = Subset(lessons, range(first_step * BATCH_SIZE, num_lessons))
    loader = DataLoader(remaining, batch_size=BATCH_SIZE, num_workers=num_workers, collate_fn=collate)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        bar = progress.add_task("training", total=num_steps, completed=first_step)
        for step, batch in enumerate(loader, start=first_step):
            rate = learning_rate(step, num_steps)
            figures = _step(lecturer, optimiser, _on(batch, device), rate, sees=step < seeing)
            progress.update(bar, advance=1, description=figures)
            if (step + 1) % SAVE_EVERY_STEPS == 0 or step + 1 == num_steps:
                progress.console.print(f"step {step + 1}: {figures}")
                _save(saved, lecturer, optimiser, step + 1)
                save_model(raw, folder)
    saved.unlink(missing_ok=True)


def _step(lecturer: Lecturer, optimiser: torch.optim.Optimizer, batch: Batch, rate: float, *, sees: bool) -> str:
    for group in optimiser.param_groups:
        group["lr"] = rate
    words, helper, right = lecturer(batch, sees=sees)
    optimiser.zero_grad()
    (words + 4.0 * helper if sees else words).backward()
    nn.utils.clip_grad_norm_(lecturer.parameters(), 1.0)
    optimiser.step()
    return f"words {words.item():.3f} helper {helper.item():.4f} right {right.item():.1%}"


def _groups(lecturer: Lecturer) -> list[dict[str, Any]]:
    matrices = [p for p in lecturer.parameters() if p.ndim >= 2]
    others = [p for p in lecturer.parameters() if p.ndim < 2]
    return [{"params": matrices, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}]


def _on(batch: Batch, device: str) -> Batch:
    tensors = {name: getattr(batch, name).to(device) for name in ("planes", "ids", "labels", "grid", "owners")}
    return Batch(**tensors, num_earlier=batch.num_earlier)


def _save(saved: Path, lecturer: Lecturer, optimiser: torch.optim.Optimizer, step: int) -> None:
    half_written = saved.with_suffix(".part")
    torch.save({"lecturer": lecturer.state_dict(), "optimiser": optimiser.state_dict(), "step": step}, half_written)
    half_written.replace(saved)


def _resume(saved: Path, lecturer: Lecturer, optimiser: torch.optim.Optimizer) -> int:
    if not saved.is_file():
        return 0
    state = torch.load(saved, map_location=lecturer.helper.weight.device, weights_only=True)
    lecturer.load_state_dict(state["lecturer"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"])


if __name__ == "__main__":
    typer.run(main)
