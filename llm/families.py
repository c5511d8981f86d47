"""What differs between the families of vision-language models in transformers, a small part for each difference."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from encoders import Fit
from llm.reading import (
    BlockReading,
    BridgedReading,
    DeepstackReading,
    EncodedReading,
    GridReading,
    Reading,
)

GRIDS = {"qwen2_5_vl": (9, 16), "qwen3_vl": (9, 16)}
"""Rows and columns of tokens for the families that take any size: 16:9 as cameras are, 144 tokens per picture."""


class Family:
    """A family without peculiarities: LLaVA, and any that transformers gives `get_image_features` and an image id."""

    fit: Fit = "stretch"

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.image_id = int(model.config.image_token_id)

    @staticmethod
    def size(config: Any) -> tuple[int, int]:
        """(height, width) in pixels of the picture that the vision tower takes."""
        size = config.vision_config.image_size
        return (int(size[0]), int(size[1])) if isinstance(size, list | tuple) else (int(size), int(size))

    @property
    def similarity_width(self) -> int | None:
        """How many channels of a token similarity reads; None for all."""
        return None

    def project(self, pixels: Tensor) -> Tensor:
        """[B, 3, H, W] -> tokens [B, N, W], which memory keeps."""
        return _stacked(self.model.get_image_features(pixel_values=pixels, return_dict=True).pooler_output)

    def read(self, tokens: Tensor, _question: str) -> Tensor:
        """[S, N, W] from memory -> [S, P, W], which stand in the prompt."""
        return tokens

    def num_read(self, num_tokens: int) -> int:
        """N -> P."""
        return num_tokens

    def picture_text(self, num_read: int) -> str:
        """The text that stands for a picture in a prompt: P image tokens between the family's marks."""
        return self._word(self.image_id) * num_read

    def reading(self, ids: Tensor, tokens: Tensor) -> Reading:
        """Of int64 [1, L] with [S, P, W]. Raises: ValueError where they do not fit each other."""
        return Reading(self.model, ids, image_id=self.image_id, tokens=tokens)

    def _word(self, token_id: int) -> str:
        word = self.tokenizer.convert_ids_to_tokens(token_id)
        if not isinstance(word, str):
            raise ValueError(f"its tokenizer has no token {token_id}, which its config names for pictures")
        return word


class SmolVLM(Family):
    """SmolVLM, SmolVLM2, Idefics 3: a batch dimension of pictures, and marks around them."""

    def project(self, pixels: Tensor) -> Tensor:
        return _stacked(self.model.get_image_features(pixel_values=pixels[:, None], return_dict=True).pooler_output)

    def picture_text(self, num_read: int) -> str:
        edge = "<fake_token_around_image>"
        return f"{edge}<global-img>{super().picture_text(num_read)}{edge}"


class Llava(Family):
    """LLaVA 1.5: padded to a square, as its paper does; the centre crop of its processor cuts off what cameras see."""

    fit: Fit = "pad"


class LlavaOneVision(Family):
    """The picture as a whole, without tiles, padded to a square, and a token that ends it."""

    fit: Fit = "pad"

    def project(self, pixels: Tensor) -> Tensor:
        count, _, height, width = pixels.shape
        features = self.model.get_image_features(
            pixel_values=pixels[:, None],
            image_sizes=torch.tensor([[height, width]] * count),
            batch_num_images=torch.tensor([count + 1]),  # more than one in a prompt are not cut into tiles
            return_dict=True,
        ).pooler_output
        return _stacked(features)


class InternVL(Family):
    """Marks around a picture."""

    def picture_text(self, num_read: int) -> str:
        return f"<img>{super().picture_text(num_read)}</img>"


class Gemma3(Family):
    """Marks and empty lines around a picture, whose tokens see each other."""

    def picture_text(self, num_read: int) -> str:
        begin, end = (self._word(getattr(self.model.config, name)) for name in ("boi_token_index", "eoi_token_index"))
        return f"\n\n{begin}{super().picture_text(num_read)}{end}\n\n"

    def reading(self, ids: Tensor, tokens: Tensor) -> Reading:
        return BlockReading(self.model, ids, image_id=self.image_id, tokens=tokens)


class QwenVL(Family):
    """Qwen2.5-VL: any size, pixels as rows of patches, rotary positions in three dimensions."""

    @staticmethod
    def size(config: Any) -> tuple[int, int]:
        rows, columns = GRIDS[config.model_type]
        side = config.vision_config.patch_size * config.vision_config.spatial_merge_size
        return rows * side, columns * side

    @property
    def grid(self) -> tuple[int, int]:
        return GRIDS[self.model.config.model_type]

    def project(self, pixels: Tensor) -> Tensor:
        return _stacked(self._see(pixels).pooler_output)

    def picture_text(self, num_read: int) -> str:
        begin, end = (
            self._word(getattr(self.model.config, name)) for name in ("vision_start_token_id", "vision_end_token_id")
        )
        return f"{begin}{super().picture_text(num_read)}{end}"

    def reading(self, ids: Tensor, tokens: Tensor) -> Reading:
        return GridReading(self.model, ids, image_id=self.image_id, tokens=tokens, grid=self.grid)

    def _see(self, pixels: Tensor) -> Any:
        vision = self.model.config.vision_config
        patches, grid = patch_rows(
            pixels, patch=vision.patch_size, merge=vision.spatial_merge_size, frames=vision.temporal_patch_size
        )
        return self.model.get_image_features(pixel_values=patches, image_grid_thw=grid, return_dict=True)


class Qwen3VL(QwenVL):
    """What the tower saw at its lower levels stands behind a token's own channels: W = D x (1 + levels)."""

    @property
    def similarity_width(self) -> int | None:
        return int(self.model.config.text_config.hidden_size)

    def project(self, pixels: Tensor) -> Tensor:
        seen = self._see(pixels)
        return torch.cat([_stacked(level) for level in (seen.pooler_output, *seen.deepstack_features)], dim=-1)

    def reading(self, ids: Tensor, tokens: Tensor) -> Reading:
        return DeepstackReading(self.model, ids, image_id=self.image_id, tokens=tokens, grid=self.grid)


class Blip2(Family):
    """A Q-Former makes 32 tokens of a picture; the language model is OPT, or T5 with an encoder."""

    def reading(self, ids: Tensor, tokens: Tensor) -> Reading:
        kind = BridgedReading if self.model.config.use_decoder_only_language_model else EncodedReading
        return kind(self.model, ids, image_id=self.image_id, tokens=tokens)


class InstructBlip(Blip2):
    """Its Q-Former reads the question too, so memory keeps what the vision tower gave, and it runs when one is asked.

    qformer_tokenizer  lies beside the checkpoint, in a folder of that name
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        super().__init__(model, tokenizer)
        self.qformer_tokenizer: Any = None

    def project(self, pixels: Tensor) -> Tensor:
        seen: Tensor = self.model.vision_model(pixel_values=pixels, return_dict=True).last_hidden_state
        return seen

    def num_read(self, _num_tokens: int) -> int:
        return int(self.model.config.num_query_tokens)

    def read(self, tokens: Tensor, question: str) -> Tensor:
        model, count = self.model, len(tokens)
        words = torch.tensor([self.qformer_tokenizer(question, truncation=True).input_ids], device=tokens.device)
        words = words.expand(count, -1)
        queries = model.query_tokens.expand(count, -1, -1)
        seen = torch.ones(tokens.shape[:2], dtype=torch.int64, device=tokens.device)
        asked = torch.ones((count, queries.shape[1] + words.shape[1]), dtype=torch.int64, device=tokens.device)
        found = model.qformer(
            input_ids=words,
            attention_mask=asked,
            query_embeds=queries,
            encoder_hidden_states=tokens,
            encoder_attention_mask=seen,
            return_dict=True,
        ).last_hidden_state[:, : queries.shape[1]]
        read: Tensor = model.language_projection(found.to(model.language_projection.weight.dtype))
        return read


FAMILIES: dict[str, type[Family]] = {
    "smolvlm": SmolVLM,
    "idefics3": SmolVLM,
    "llava": Llava,
    "llava_onevision": LlavaOneVision,
    "qwen2_5_vl": QwenVL,
    "qwen3_vl": Qwen3VL,
    "internvl": InternVL,
    "gemma3": Gemma3,
    "blip-2": Blip2,
    "instructblip": InstructBlip,
}
"""`model_type` of a config -> what is different about it."""


def patch_rows(pixels: Tensor, *, patch: int, merge: int, frames: int) -> tuple[Tensor, Tensor]:
    """[B, 3, H, W] -> patches [B x rows x columns, 3 x frames x patch x patch] and their grids int64 [B, 3].

    Patches that are merged stand next to each other, and a still picture stands for each of its `frames`, as
    Qwen2VLImageProcessor of transformers lays them out.
    """
    count, channels, height, width = pixels.shape
    rows, columns = height // patch, width // patch
    laid = pixels.reshape(count, channels, rows // merge, merge, patch, columns // merge, merge, patch)
    laid = laid.permute(0, 2, 5, 3, 6, 1, 4, 7)  # [B, R, C, merge, merge, 3, patch, patch]
    laid = laid.unsqueeze(6).expand(*laid.shape[:6], frames, patch, patch)
    grid = torch.tensor([[1, rows, columns]] * count, device=pixels.device)
    return laid.reshape(count * rows * columns, channels * frames * patch * patch), grid


def _stacked(features: Any) -> Tensor:
    """Features of B pictures, as one tensor or one per picture -> [B, N, W]."""
    if isinstance(features, Tensor):
        return features if features.ndim == 3 else features[None]
    return torch.stack([each.reshape(-1, each.shape[-1]) for each in features])
