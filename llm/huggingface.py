"""Loads a vision-language checkpoint of transformers and answers from tokens that are already encoded."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from jinja2 import TemplateError
from torch import Tensor

from encoders import Preprocessing, VisionEncoder
from llm.base import Piece
from llm.errors import ModelLoadError, PromptError
from llm.families import FAMILIES, Family, InstructBlip
from llm.prompt import Message, conversation, longest_gap_text, longest_slot_text, neutral
from llm.reading import Reading, embed
from llm.thoughts import MAX_THOUGHT_TOKENS, Thoughts
from memory import Evidence, Reach

BUNDLED_FOLDER = Path(__file__).parent / "bundled"
DEFAULT_PROMPT_TOKENS = 4096
PREFILL_CHUNK_TOKENS = {"cpu": 256, "cuda": 2048}
ANSWER_TOKENS = 96
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
        self.model, self.tokenizer = model, tokenizer
        self.family = family
        self.encoder = VisionEncoder(
            family.project,
            preprocessing,
            device=self.device,
            dtype=self.dtype,
            similarity_width=family.similarity_width,
        )
        self.image_id = family.image_id
        self._picture_text = family.picture_text(family.num_read(self.encoder.num_tokens))
        self._stop_ids = _stop_ids(model, tokenizer)
        longest = _longest(model.config) - ANSWER_TOKENS
        self.prompt_budget = min(int(card.get("prompt_tokens", DEFAULT_PROMPT_TOKENS)), longest)
        self._chunk_tokens = PREFILL_CHUNK_TOKENS.get(self.device.type, 2048)
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
        around = len(self.prompt_ids(conversation(nothing, question, camera=camera))) + newest + gaps
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
        messages = conversation(evidence, question, camera=camera, is_current=is_current)
        ids = torch.tensor([self.prompt_ids(messages)], device=self.device)
        reading = self.family.reading(ids, self.family.read(evidence.tokens, question))
        last, self._last_reading = self._last_reading, None
        if last is not None:
            reading.continue_from(last)
            del last
        yield from self._written(reading, ids, max_new_tokens)
        if len(evidence.slots) > 1:  # a note's prompt is no beginning of another
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

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False).input_ids)


def load(name: str, *, device: str | None = None, dtype: torch.dtype | None = None) -> HuggingFaceModel:
    """A checkpoint by name: "bundled", a folder, or a name that transformers can find.

    `device` is CUDA where there is one; `dtype` bfloat16 there and float32 on a CPU.
    Raises: ModelLoadError, one line that says what is wrong and what to do.
    """
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModelForImageTextToText, AutoTokenizer
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
    from transformers.utils.logging import disable_progress_bar, set_verbosity_error

    set_verbosity_error()
    disable_progress_bar()
    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    kind = dtype or (torch.bfloat16 if where.type == "cuda" else torch.float32)
    folder = _folder(name)
    try:
        config = AutoConfig.from_pretrained(folder)
        kind_of_family = FAMILIES.get(config.model_type, Family)
        if config.model_type not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
            raise ModelLoadError(_wrong_family(name, config, "which does not read pictures"))
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModelForImageTextToText.from_pretrained(folder, dtype=kind, use_safetensors=True).to(where).eval()
        if not hasattr(model, "get_image_features"):
            raise ModelLoadError(_wrong_family(name, config, "whose vision tower cannot be run by itself"))
        card_file = folder / "longwatch.json"
        card = json.loads(card_file.read_text()) if card_file.is_file() else {}
        try:
            family = kind_of_family(model, tokenizer)
            if isinstance(family, InstructBlip):
                family.qformer_tokenizer = AutoTokenizer.from_pretrained(folder / "qformer_tokenizer")
            preprocessing = Preprocessing.from_folder(folder, size=family.size(config), fit=family.fit)
            loaded = HuggingFaceModel(model, tokenizer, family, preprocessing, name=name, card=card)
        except (TypeError, ValueError, AttributeError, RuntimeError) as error:
            if config.model_type in FAMILIES:
                raise
            raise ModelLoadError(_wrong_family(name, config, f"which is not known ({error})")) from error
        loaded.max_slots(
            "What is happening?", camera="camera", reach=Reach(0.0, 0.0, 0)
        )  # has a chat template, fits its budget
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RuntimeError,
        SafetensorError,
        PromptError,
    ) as error:
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelLoadError(f"model {name!r} cannot be loaded from {folder}: {first_line}") from error
    return loaded


def _folder(name: str) -> Path:
    """Where the checkpoint lies, fetched from the hub where it is a name and not yet at hand."""
    if name == "bundled":
        return BUNDLED_FOLDER
    if name.startswith("openai:"):
        raise ModelLoadError(
            "model openai:... : remote endpoints are not built yet; give 'bundled', a folder or OWNER/NAME"
        )
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if not re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", name):
        raise ModelLoadError(
            f"model {name!r} is not found: give 'bundled', a folder with a transformers checkpoint, or OWNER/NAME"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(
                name, allow_patterns=["*.json", "*/*.json", "*.safetensors", "*.jinja", "*.txt", "*/*.txt", "*.model"]
            )
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise ModelLoadError(
            f"model {name!r} is neither a folder here nor could it be fetched ({type(error).__name__}); "
            "check the name and the network, or give a folder"
        ) from error


def _wrong_family(name: str, config: Any, why: str) -> str:
    return (
        f"model {name!r} is of family {config.model_type!r}, {why}; families that work: {', '.join(sorted(FAMILIES))}"
    )


def _longest(config: Any) -> int:
    """Tokens that the language model can read and write at once, as its config says; a T5 does not say."""
    text = config.get_text_config(decoder=True)
    return int(getattr(text, "max_position_embeddings", None) or getattr(text, "n_positions", None) or 512)


def _stop_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    configured = getattr(model.generation_config, "eos_token_id", None)
    ids = configured if isinstance(configured, list) else [configured]
    return frozenset(int(i) for i in (*ids, tokenizer.eos_token_id) if i is not None)
