"""Loads a vision-language checkpoint of transformers and answers from tokens that are already encoded."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from typing import Any

import torch
from jinja2 import TemplateError
from torch import Tensor

from encoders import Preprocessing, VisionEncoder
from llm.base import Piece
from llm.choosing import BUNDLED_FOLDER, Judged, Place, find, first_line, prompt_tokens, wrong_family
from llm.errors import ModelLoadError, PromptError
from llm.families import FAMILIES, Family, InstructBlip
from llm.fetching import Bar, no_bar
from llm.fit import CHUNK_TOKENS
from llm.hardware import (
    Quantize,
    attention,
    best_device,
    best_dtype,
    check_quantisation,
    is_loaded_at_once,
    quantisation,
)
from llm.prompt import (
    SYSTEM,
    SYSTEM_OF_THE_WORLD,
    Message,
    conversation,
    longest_gap_text,
    longest_slot_text,
    neutral,
)
from llm.reading import Reading, embed
from llm.shapes import ANSWER_TOKENS, longest_prompt
from llm.thoughts import MAX_THOUGHT_TOKENS, Thoughts
from memory import Evidence, Reach

__all__ = ["BUNDLED_FOLDER", "HuggingFaceModel", "load"]

log = logging.getLogger(__name__)

ROOM_TOKENS = 64
"""What stands around the pictures of a prompt is reckoned in steps of so many: most questions get the same slots."""


class HuggingFaceModel:
    """One checkpoint, both halves: its vision tower and projector as `encoder`, its language model to answer."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        family: Family,
        preprocessing: Preprocessing,
        *,
        name: str,
        card: dict[str, Any],
    ) -> None:
        self.name = name
        self.device: torch.device = model.device
        self.dtype: torch.dtype = model.dtype
        self.knows_only: str | None = card.get("knows_only")
        is_taught = self.knows_only is None and tokenizer.chat_template is not None
        self.system = SYSTEM_OF_THE_WORLD if is_taught else SYSTEM
        self.model, self.tokenizer = model, tokenizer
        self.family = family
        self.encoder = VisionEncoder(
            family.project,
            preprocessing,
            device=self.device,
            dtype=self.dtype,
            similarity_width=family.similarity_width,
            identity=_identity(model, preprocessing),
        )
        self.image_id = family.image_id
        self._picture_text = family.picture_text(family.num_read(self.encoder.num_tokens))
        self._stop_ids = _stop_ids(model, tokenizer)
        longest = longest_prompt(model.config.get_text_config(decoder=True))
        self.prompt_budget = min(prompt_tokens(card), longest)
        self._chunk_tokens = CHUNK_TOKENS.get(self.device.type, 2048)
        self._last_reading: Reading | None = None
        """Of an answer that was finished; nobody else uses its cache."""

    def max_slots(self, question: str, *, camera: str, reach: Reach) -> int:
        """How many slots of evidence about `reach` fit the budget beside `question` and its gaps.

        Raises: PromptError where not even one fits.
        """
        now_seconds, since_seconds = reach.now_seconds, reach.since_seconds
        nothing = Evidence(
            camera=0,
            now_seconds=now_seconds,
            tokens=torch.empty(0, self.encoder.num_tokens, self.encoder.width),
            slots=(),
            gaps=(),
            newest_seconds=None,
            frame_age_seconds=None,
        )
        gaps = reach.num_gaps * len(self._ids(longest_gap_text(now_seconds, since_seconds)))
        newest = len(self._ids("Last picture, 1234 min old, "))
        around = len(self.prompt_ids(self._conversation(nothing, question, camera=camera))) + newest + gaps
        room = -(-around // ROOM_TOKENS) * ROOM_TOKENS
        picture = len(self._ids(self._picture_text))
        each = len(self._ids(longest_slot_text(now_seconds, since_seconds))) + picture + len(self._ids("\n"))
        fits: int = max((self.prompt_budget - room) // each, min(1, (self.prompt_budget - around) // each))
        if fits < 1:
            raise PromptError(
                f"the question and {reach.num_gaps} gaps take {around} of the {self.prompt_budget} tokens that "
                f"{self.name} reads at once, and a picture {each} more; ask a shorter one"
            )
        return fits

    def prompt_ids(self, messages: list[Message]) -> list[int]:
        """Token ids of `messages`; each picture part stands as N image ids between its family's marks.

        Raises: PromptError where the checkpoint's chat template cannot take them.
        """
        special = self.tokenizer.all_special_tokens
        mark = "\x00"
        safe: list[dict[str, Any]] = []
        for message in messages:
            text = "".join(
                neutral(part["text"], special).replace(mark, " ") if part["type"] == "text" else mark
                for part in message["content"]
            )
            safe.append({"role": message["role"], "content": [{"type": "text", "text": text}]})
        rendered = self._rendered(safe)
        begins = self.tokenizer.bos_token
        has_begin = begins is not None and rendered.startswith(begins)
        text = rendered.replace(mark, self._picture_text)
        return list(self.tokenizer(text, add_special_tokens=not has_begin).input_ids)

    def _rendered(self, messages: list[dict[str, Any]]) -> str:
        """By the checkpoint's chat template; where it knows no system, or where there is none, in plain words."""
        system, user = (message["content"][0]["text"] for message in messages)
        if self.tokenizer.chat_template is None:
            return f"{system}\n{user}\nAnswer:"
        together = [{"role": "user", "content": [{"type": "text", "text": f"{system}\n{user}"}]}]
        failures: list[str] = []
        for tried in (messages, together):
            try:
                return str(self.tokenizer.apply_chat_template(tried, tokenize=False, add_generation_prompt=True))
            except TemplateError as error:
                failures.append(str(error))
        raise PromptError(f"the chat template of {self.name} fails: {failures[-1]}")

    def embed(self, ids: Tensor, tokens: Tensor) -> Tensor:
        """As `llm.reading.embed`, of this checkpoint."""
        return embed(self.model, ids, tokens, image_id=self.image_id)

    @torch.inference_mode()
    def answer(
        self,
        evidence: Evidence,
        question: str,
        *,
        camera: str,
        max_new_tokens: int = ANSWER_TOKENS,
        is_current: bool = True,
    ) -> Iterator[Piece]:
        """Steps of a greedy answer; each `next()` runs one prefill chunk or one decode step on the device.

        What a thinking model thinks is no token of the answer, and `max_new_tokens` does not count it. A prompt that
        begins as the last one did is read from where they part.
        """
        messages = self._conversation(evidence, question, camera=camera, is_current=is_current)
        ids = torch.tensor([self.prompt_ids(messages)], device=self.device)
        reading = self.family.reading(ids, self.family.read(evidence.tokens, question))
        is_note = len(evidence.slots) < 2  # which is no beginning of another prompt
        if not is_note:
            last, self._last_reading = self._last_reading, None
            if last is not None:
                reading.continue_from(last)
                del last
        yield from self._written(reading, ids, max_new_tokens)
        if not is_note:
            self._last_reading = reading

    def _written(self, reading: Reading, ids: Tensor, max_new_tokens: int) -> Iterator[Piece]:
        chunks = reading.chunks(self._chunk_tokens)
        logits = next(chunks)
        for later in chunks:
            yield Piece("", is_token=False)
            logits = later
        thoughts = Thoughts(self.tokenizer.decode(ids[0, -8:]))
        written: list[int] = []
        shown, num_said, num_thought, num_held = "", 0, 0, 0
        while num_said + num_held < max_new_tokens and num_thought < MAX_THOUGHT_TOKENS:
            token = int(logits[0, -1].argmax())
            if token in self._stop_ids:
                break
            written.append(token)
            text = self.tokenizer.decode(written, skip_special_tokens=True).lstrip()
            piece = "" if text.endswith("\ufffd") else text[len(shown) :]
            shown += piece
            said = thoughts.take(piece)
            num_held += 1
            if thoughts.is_thinking:  # a mark may take several tokens, which say nothing
                num_thought, num_held = num_thought + num_held, 0
            elif said:
                num_said, num_held = num_said + num_held, 0
            yield Piece(said, is_token=not thoughts.is_thinking)
            logits = reading.step(token)
        if last := thoughts.end():
            yield Piece(last, is_token=True)

    def _conversation(
        self, evidence: Evidence, question: str, *, camera: str, is_current: bool = True
    ) -> list[Message]:
        return conversation(evidence, question, camera=camera, is_current=is_current, system=self.system)

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False).input_ids)


def load(
    name: str,
    *,
    device: str | None = None,
    dtype: torch.dtype | None = None,
    quantize: Quantize | None = None,
    num_cameras: int = 1,
    bar: Bar = no_bar,
) -> HuggingFaceModel:
    """A checkpoint by name: "bundled", "auto", a folder, or OWNER/NAME[@REVISION], fetched where it is not here.

    `device` is CUDA where there is one; `dtype` what that computes best in (`llm.hardware`). A checkpoint that does not
    fit beside the memory of `num_cameras` is refused before its weights are read. No code of a checkpoint is ever run.
    Raises: ModelLoadError, one line that says what is wrong and what to do.
    """
    from transformers.utils.logging import disable_progress_bar, set_verbosity_error

    set_verbosity_error()
    disable_progress_bar()
    where = best_device(device)
    place = Place(where, dtype or best_dtype(where), quantize, num_cameras)
    if quantize is not None:
        check_quantisation(quantize, where)
    name, judged = find(name, place, bar=bar)
    loaded, num_pictures = _read(name, judged, place)
    log.info("%s", _described(loaded, judged, num_pictures, quantize))
    return loaded


def _read(name: str, judged: Judged, place: Place) -> tuple[HuggingFaceModel, int]:
    """The model, and how many pictures a prompt of it holds.

    Raises: ModelLoadError.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForImageTextToText, AutoTokenizer

    folder, config = judged.folder, judged.config
    how: dict[str, Any] = {"attn_implementation": attention(config.model_type, place.device, place.dtype)}
    if place.quantize is not None:
        keep = ("lm_head",) if judged.shape is None else judged.shape.outside
        how["quantization_config"] = quantisation(place.quantize, place.device, place.dtype, keep=keep)
    is_direct = place.device.type != "cpu" and is_loaded_at_once(place.device)
    if is_direct:
        how["device_map"] = {"": place.device}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        model = AutoModelForImageTextToText.from_pretrained(
            folder, dtype=place.dtype, use_safetensors=True, trust_remote_code=False, **how
        )
        model = (model if is_direct else model.to(place.device)).eval()
        if not hasattr(model, "get_image_features"):
            raise ModelLoadError(wrong_family(name, config.model_type, "whose vision tower cannot be run by itself"))
        try:
            family = FAMILIES.get(config.model_type, Family)(model, tokenizer)
            if isinstance(family, InstructBlip):
                family.qformer_tokenizer = AutoTokenizer.from_pretrained(folder / "qformer_tokenizer")
            preprocessing = Preprocessing.from_folder(folder, size=family.size(config), fit=family.fit)
            loaded = HuggingFaceModel(model, tokenizer, family, preprocessing, name=name, card=judged.card)
        except (TypeError, ValueError, AttributeError, RuntimeError) as error:
            if config.model_type in FAMILIES:
                raise
            raise ModelLoadError(wrong_family(name, config.model_type, f"which is not known ({error})")) from error
        num_pictures = loaded.max_slots(  # has a chat template, fits its budget
            "What is happening?", camera="camera", reach=Reach(0.0, 0.0, 0)
        )
    except (
        ImportError,
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RuntimeError,
        SafetensorError,
        PromptError,
    ) as error:
        raise ModelLoadError(f"model {name!r} cannot be loaded from {folder}: {first_line(error)}") from error
    return loaded, num_pictures


def _described(model: HuggingFaceModel, judged: Judged, num_pictures: int, quantize: Quantize | None) -> str:
    shape = judged.shape
    count = sum(each.numel() for each in model.model.parameters()) if shape is None else shape.num_parameters
    read = model.family.num_read(model.encoder.num_tokens)
    return (
        f"{model.name}: {judged.config.model_type}, {count / 1e6:,.{0 if count >= 1e7 else 1}f} M parameters, "
        f"{f'{quantize} and ' if quantize else ''}{str(model.dtype).removeprefix('torch.')} on {model.device}, "
        f"{model.model.config._attn_implementation} attention, {read} tokens per frame, prompts of "
        f"{model.prompt_budget:,} tokens ({num_pictures} pictures)"
    )


def _identity(model: Any, preprocessing: Preprocessing) -> str:
    """Of all that makes tokens of a picture: the same on every device and in every precision, other for other weights.

    Of each tensor beside the language model's layers its first 16 numbers, in bfloat16, which every precision has.
    """
    told = hashlib.sha256(repr(preprocessing).encode())
    outside = {id(weights) for weights in model.get_decoder().parameters()}
    for name, weights in model.named_parameters():
        if id(weights) in outside or name.startswith("lm_head"):
            continue
        first = weights.detach().flatten()[:16].to(device="cpu", dtype=torch.bfloat16).float()
        told.update(f"{name} {list(weights.shape)} {first.tolist()}".encode())
    return told.hexdigest()[:32]


def _stop_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    configured = getattr(model.generation_config, "eos_token_id", None)
    ids = configured if isinstance(configured, list) else [configured]
    return frozenset(int(i) for i in (*ids, tokenizer.eos_token_id) if i is not None)
