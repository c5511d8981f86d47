"""Loads a vision-language checkpoint of transformers and answers from tokens that are already encoded."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jinja2 import TemplateError
from torch import Tensor

from encoders import Preprocessing, VisionEncoder
from llm.base import Piece
from llm.errors import ModelLoadError, PromptError
from llm.prompt import Message, conversation, longest_gap_text, longest_slot_text, neutral
from memory import Evidence, Reach

BUNDLED_FOLDER = Path(__file__).parent / "bundled"
DEFAULT_PROMPT_TOKENS = 4096
PREFILL_CHUNK_TOKENS = {"cpu": 256, "cuda": 2048}
ANSWER_TOKENS = 96


@dataclass(frozen=True)
class Family:
    """What differs between the families of transformers: how a picture is written, and how its tokens are made."""

    picture_text: Callable[[int], str]
    """Number of tokens N -> the text that stands for a picture in a prompt, N times `<image>` in it."""
    project: Callable[[Any, Tensor], Tensor]
    """(model, pixels [B, 3, H, W]) -> tokens [B, N, W]."""


def _project_smolvlm(model: Any, pixels: Tensor) -> Tensor:
    features = model.get_image_features(pixel_values=pixels[:, None], return_dict=True).pooler_output
    return torch.stack(list(features))


def _write_smolvlm(num_tokens: int) -> str:
    edge = "<fake_token_around_image>"
    return f"{edge}<global-img>{'<image>' * num_tokens}{edge}"


FAMILIES = {
    "smolvlm": Family(_write_smolvlm, _project_smolvlm),
    "idefics3": Family(_write_smolvlm, _project_smolvlm),
}


class HuggingFaceModel:
    """One checkpoint, both halves: its vision tower and projector as `encoder`, its language model to answer."""

    def __init__(self, model: Any, tokenizer: Any, preprocessing: Preprocessing, *, name: str, card: dict[str, Any]):
        self.name = name
        self.device: torch.device = model.device
        self.dtype: torch.dtype = model.dtype
        self.knows_only: str | None = card.get("knows_only")
        self.model, self.tokenizer = model, tokenizer
        self._family = FAMILIES[model.config.model_type]
        self.encoder = VisionEncoder(
            lambda pixels: self._family.project(model, pixels), preprocessing, device=self.device, dtype=self.dtype
        )
        self.image_id = int(model.config.image_token_id)
        self._stop_ids = _stop_ids(model, tokenizer)
        longest = model.config.text_config.max_position_embeddings - ANSWER_TOKENS
        self.prompt_budget = min(int(card.get("prompt_tokens", DEFAULT_PROMPT_TOKENS)), longest)
        self._chunk_tokens = PREFILL_CHUNK_TOKENS.get(self.device.type, 2048)

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
        picture = len(self._ids(self._family.picture_text(self.encoder.num_tokens)))
        each = len(self._ids(longest_slot_text(now_seconds, since_seconds))) + picture + len(self._ids("\n"))
        fits: int = (self.prompt_budget - around) // each
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
        try:
            rendered = self.tokenizer.apply_chat_template(safe, tokenize=False, add_generation_prompt=True)
        except TemplateError as error:
            raise PromptError(f"the chat template of {self.name} fails: {error}") from error
        return self._ids(rendered.replace(mark, self._family.picture_text(self.encoder.num_tokens)))

    def embed(self, ids: Tensor, tokens: Tensor) -> Tensor:
        """int64 [B, L] and slots [S, N, W] in order of appearance -> [B, L, D], image ids replaced by the tokens.

        Raises: ValueError where the ids do not hold exactly S x N image ids.
        """
        embeds: Tensor = self.model.get_input_embeddings()(ids)
        places = ids == self.image_id
        if int(places.sum()) != tokens.shape[0] * tokens.shape[1]:
            raise ValueError(f"prompt holds {int(places.sum())} image ids, evidence {list(tokens.shape[:2])} tokens")
        embeds = embeds.clone()
        embeds[places] = tokens.reshape(-1, tokens.shape[-1]).to(embeds.dtype)
        return embeds

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
        """Steps of a greedy answer; each `next()` runs one prefill chunk or one decode step on the device."""
        from transformers import DynamicCache

        messages = conversation(evidence, question, camera=camera, is_current=is_current)
        ids = torch.tensor([self.prompt_ids(messages)], device=self.device)
        embeds = self.embed(ids, evidence.tokens)
        cache = DynamicCache(config=self.model.config.text_config)
        chunks = torch.split(embeds, self._chunk_tokens, dim=1)
        for chunk in chunks[:-1]:
            self.model(inputs_embeds=chunk, past_key_values=cache, use_cache=True, logits_to_keep=1)
            yield Piece("", is_token=False)
        logits = self.model(inputs_embeds=chunks[-1], past_key_values=cache, use_cache=True, logits_to_keep=1).logits
        written: list[int] = []
        shown = ""
        for _ in range(max_new_tokens):
            token = int(logits[0, -1].argmax())
            if token in self._stop_ids:
                return
            written.append(token)
            text = self.tokenizer.decode(written, skip_special_tokens=True).lstrip()
            piece = "" if text.endswith("\ufffd") else text[len(shown) :]
            shown += piece
            yield Piece(piece, is_token=True)
            step = torch.tensor([[token]], device=self.device)
            logits = self.model(input_ids=step, past_key_values=cache, use_cache=True, logits_to_keep=1).logits

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False).input_ids)


def load(name: str, *, device: str | None = None, dtype: torch.dtype | None = None) -> HuggingFaceModel:
    """A checkpoint by name: "bundled", a folder, or a name that transformers can find.

    `device` is CUDA where there is one; `dtype` bfloat16 there and float32 on a CPU.
    Raises: ModelLoadError, one line that says what is wrong and what to do.
    """
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModelForImageTextToText, AutoTokenizer
    from transformers.utils.logging import disable_progress_bar, set_verbosity_error

    set_verbosity_error()
    disable_progress_bar()
    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    kind = dtype or (torch.bfloat16 if where.type == "cuda" else torch.float32)
    folder = _folder(name)
    try:
        config = AutoConfig.from_pretrained(folder)
        if config.model_type not in FAMILIES:
            raise ModelLoadError(
                f"model {name!r} is of family {config.model_type!r}, which is not built yet; "
                f"use one of: {', '.join(sorted(FAMILIES))}"
            )
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModelForImageTextToText.from_pretrained(folder, dtype=kind).to(where).eval()
        preprocessing = Preprocessing.from_folder(folder, size=config.vision_config.image_size)
        card_file = folder / "longwatch.json"
        card = json.loads(card_file.read_text()) if card_file.is_file() else {}
        loaded = HuggingFaceModel(model, tokenizer, preprocessing, name=name, card=card)
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
        return Path(snapshot_download(name, allow_patterns=["*.json", "*.safetensors", "*.jinja", "*.txt", "*.model"]))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise ModelLoadError(
            f"model {name!r} is neither a folder here nor could it be fetched ({type(error).__name__}); "
            "check the name and the network, or give a folder"
        ) from error


def _stop_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    configured = getattr(model.generation_config, "eos_token_id", None)
    ids = configured if isinstance(configured, list) else [configured]
    return frozenset(int(i) for i in (*ids, tokenizer.eos_token_id) if i is not None)
