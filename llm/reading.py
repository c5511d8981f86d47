"""One prompt on its way through a language model: chunk by chunk, then token by token, with what its family needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor


class Reading:
    """A decoder whose positions count up and whose mask is causal, which most families are.

    model      the checkpoint of transformers
    ids        int64 [1, L], image ids where pictures stand
    image_id   what those ids are
    tokens     [S, P, W]: what stands there, in order; the first D of W channels enter as embeddings

    Raises: ValueError where the ids do not hold exactly S x P image ids.
    """

    def __init__(self, model: Any, ids: Tensor, *, image_id: int, tokens: Tensor) -> None:
        self.model = model
        self.embeds = embed(model, ids, tokens, image_id=image_id)
        self.is_picture = ids[0] == image_id
        self.tokens = tokens.flatten(0, 1)
        if tokens.shape[-1] > self.embeds.shape[-1]:  # memory writes the next evidence into the same place
            self.tokens = self.tokens.clone()
        self.cache = self._new_cache()
        self.num_read = 0
        """So much of the prompt has been read, from the start."""

    def continue_from(self, earlier: Reading) -> None:
        """Begin behind what this prompt has in common with `earlier`, which is done with: its cache is taken over.

        Several questions about the same frozen evidence differ only at their ends. Of one that is asked later hardly
        more than the system's words are the same, since each caption begins with an age.
        """
        common = min(self._num_common(earlier), earlier.num_read, self.embeds.shape[1] - 1)
        if common > 0:
            self.cache, self.num_read = earlier.cache, common
            self.cache.crop(common - self.cache.get_seq_length())

    def chunks(self, longest: int) -> Iterator[Tensor]:
        """Logits [1, 1, V] after each part of the prompt, of at most about `longest` tokens."""
        for end in self._ends(longest):
            if end > self.num_read:
                start = self.num_read
                logits = self._forward(self.embeds[:, start:end], start, end)
                self.num_read = end
                yield logits

    def step(self, token: int) -> Tensor:
        """Logits [1, 1, V] after one more token."""
        embeds = self.model.get_input_embeddings()(torch.tensor([[token]], device=self.embeds.device))
        seen = self.cache.get_seq_length()
        return self._forward(embeds, seen, seen + 1)

    def _new_cache(self) -> Any:
        from transformers import DynamicCache

        return DynamicCache(config=self.model.config.get_text_config(decoder=True))

    def _num_common(self, earlier: Reading) -> int:
        """Tokens at the start that are those of `earlier`; 0 where what was read cannot be cut off at any token."""
        if not all(layer.__class__.__name__ == "DynamicLayer" for layer in earlier.cache.layers):
            return 0  # a sliding window has forgotten what stood before
        length = min(self.embeds.shape[1], earlier.embeds.shape[1])
        is_other = (self.embeds[0, :length] != earlier.embeds[0, :length]).any(dim=1)
        is_other |= self.is_picture[:length] != earlier.is_picture[:length]
        places = (self.is_picture[:length] & earlier.is_picture[:length]).nonzero()[:, 0]
        if len(places) and self.tokens.shape[1] > self.embeds.shape[2]:
            is_other[places] |= (self.tokens[: len(places)] != earlier.tokens[: len(places)]).any(dim=1)
        return int(is_other.nonzero()[0, 0]) if bool(is_other.any()) else length

    def _ends(self, longest: int) -> list[int]:
        length = self.embeds.shape[1]
        return [*range(longest, length, longest), length]

    def _forward(self, embeds: Tensor, start: int, end: int) -> Tensor:
        """The positions `start` to `end`, which the cache has not seen yet."""
        logits: Tensor = self.model(
            inputs_embeds=embeds,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
            **self._extra(start, end),
        ).logits
        return logits

    def _extra(self, _start: int, _end: int) -> dict[str, Any]:
        return {}


class GridReading(Reading):
    """Qwen2.5-VL: rotary positions in time, height and width. A picture stands at one time, as its family has it.

    grid  (rows, columns) of a picture's P tokens
    """

    def __init__(self, model: Any, ids: Tensor, *, image_id: int, tokens: Tensor, grid: tuple[int, int]) -> None:
        super().__init__(model, ids, image_id=image_id, tokens=tokens)
        self.positions, self._next = grid_positions(self.is_picture, grid)

    def _extra(self, start: int, end: int) -> dict[str, Any]:
        length = self.embeds.shape[1]
        if end <= length:
            return {"position_ids": self.positions[:, None, start:end]}
        position = self._next + start - length
        return {"position_ids": torch.full((3, 1, 1), position, device=self.embeds.device)}


class DeepstackReading(GridReading):
    """Qwen3-VL: what the vision tower saw at its lower levels is added behind the first layers of the language model.

    The levels stand in the channels of `tokens` behind the first D: W = D x (1 + levels).
    """

    def _forward(self, embeds: Tensor, start: int, end: int) -> Tensor:
        inner = self.model.model.language_model
        is_picture = self.is_picture[start:end] if end <= len(self.is_picture) else self.is_picture[:0]
        levels: dict[str, Any] = {}
        if bool(is_picture.any()):
            before = int(self.is_picture[:start].sum())
            own = self.tokens[before : before + int(is_picture.sum())].to(embeds.dtype)
            _, *deeper = torch.split(own, embeds.shape[-1], dim=-1)
            levels = {"visual_pos_masks": is_picture[None], "deepstack_visual_embeds": deeper}
        hidden = inner(
            inputs_embeds=embeds, past_key_values=self.cache, use_cache=True, **self._extra(start, end), **levels
        ).last_hidden_state
        logits: Tensor = self.model.lm_head(hidden[:, -1:])
        return logits


class BlockReading(Reading):
    """Gemma 3: the tokens of one picture see each other, both ways; some layers see a window only.

    A picture is never cut in two by a chunk.
    """

    def _num_common(self, _earlier: Reading) -> int:
        return 0

    def _ends(self, longest: int) -> list[int]:
        length = self.embeds.shape[1]
        blocks = picture_numbers(self.is_picture).tolist()
        ends = [0]
        while ends[-1] < length:
            end = min(ends[-1] + longest, length)
            while end < length and blocks[end] >= 0 and blocks[end] == blocks[end - 1]:
                end -= 1
            if end <= ends[-1]:  # one picture is longer than a chunk
                end = min(ends[-1] + longest, length)
                while end < length and blocks[end] >= 0 and blocks[end] == blocks[end - 1]:
                    end += 1
            ends.append(end)
        return ends[1:]

    def _extra(self, start: int, end: int) -> dict[str, Any]:
        text = self.model.config.get_text_config(decoder=True)
        window = getattr(text, "sliding_window", None) or end
        return {
            "attention_mask": {
                "full_attention": self._mask(start, end, since=0, window=end),
                "sliding_attention": self._mask(start, end, since=max(0, start - window + 1), window=window),
            }
        }

    def _mask(self, start: int, end: int, *, since: int, window: int) -> Tensor:
        """bool [1, 1, end - start, end - since]: who sees whom."""
        device = self.embeds.device
        blocks = torch.full((end,), -1, device=device)
        known = picture_numbers(self.is_picture)[:end]
        blocks[: len(known)] = known
        query, key = torch.arange(start, end, device=device)[:, None], torch.arange(since, end, device=device)[None]
        causal = (key <= query) & (key > query - window)
        together = (blocks[query] >= 0) & (blocks[query] == blocks[key])
        return (causal | together)[None, None]


class BridgedReading(Reading):
    """BLIP-2 and InstructBLIP: the language model is a part of its own, with a head of its own."""

    def _new_cache(self) -> Any:
        from transformers import DynamicCache

        return DynamicCache(config=self.model.language_model.config)

    def _forward(self, embeds: Tensor, _start: int, _end: int) -> Tensor:
        logits: Tensor = self.model.language_model(
            inputs_embeds=embeds, past_key_values=self.cache, use_cache=True, logits_to_keep=1
        ).logits
        return logits


class EncodedReading(Reading):
    """BLIP-2 and InstructBLIP with T5: an encoder reads the whole prompt at once, a decoder writes."""

    def _new_cache(self) -> Any:
        from transformers import DynamicCache, EncoderDecoderCache

        return EncoderDecoderCache(DynamicCache(), DynamicCache())

    def _num_common(self, _earlier: Reading) -> int:
        return 0

    def _ends(self, _longest: int) -> list[int]:
        return [self.embeds.shape[1]]

    def chunks(self, _longest: int) -> Iterator[Tensor]:
        from transformers.modeling_outputs import BaseModelOutput

        encoded = self.model.language_model.get_encoder()(inputs_embeds=self.embeds)
        self._encoded = BaseModelOutput(last_hidden_state=encoded.last_hidden_state)
        config = self.model.language_model.config
        start = getattr(config, "decoder_start_token_id", None)
        yield self.step(config.pad_token_id if start is None else start)

    def step(self, token: int) -> Tensor:
        logits: Tensor = self.model.language_model(
            encoder_outputs=self._encoded,
            decoder_input_ids=torch.tensor([[token]], device=self.embeds.device),
            past_key_values=self.cache,
            use_cache=True,
        ).logits
        return logits[:, -1:]


def embed(model: Any, ids: Tensor, tokens: Tensor, *, image_id: int) -> Tensor:
    """int64 [B, L] and [S, P, W] in order of appearance -> [B, L, D], the image ids replaced by the first D channels.

    Raises: ValueError where the ids do not hold exactly S x P image ids.
    """
    is_picture = ids == image_id
    if int(is_picture.sum()) != tokens.shape[0] * tokens.shape[1]:
        raise ValueError(f"prompt holds {int(is_picture.sum())} image ids, evidence {list(tokens.shape[:2])} tokens")
    words = ids.masked_fill(is_picture, 0)  # an image id may stand beyond the table of embeddings
    embeds: Tensor = model.get_input_embeddings()(words).clone()
    embeds[is_picture] = tokens.flatten(0, 1)[:, : embeds.shape[-1]].to(embeds.dtype)
    return embeds


def grid_positions(is_picture: Tensor, grid: tuple[int, int]) -> tuple[Tensor, int]:
    """bool [L] -> int64 [3, L], positions in time, height and width, and the position that comes next.

    Text counts up in all three. A picture of R rows and C columns keeps its first token's time, and what follows it
    stands max(R, C) further on (Qwen2-VL, arXiv 2409.12191, section 2.1).
    """
    rows, columns = grid
    device = is_picture.device
    offsets = torch.stack(
        [
            torch.zeros(rows * columns, dtype=torch.int64, device=device),
            torch.arange(rows, device=device).repeat_interleave(columns),
            torch.arange(columns, device=device).repeat(rows),
        ]
    )
    parts, position, index = [], 0, 0
    kinds = is_picture.tolist()
    while index < len(kinds):
        if kinds[index]:
            parts.append(offsets + position)
            position, index = position + max(rows, columns), index + rows * columns
            continue
        end = index
        while end < len(kinds) and not kinds[end]:
            end += 1
        parts.append(torch.arange(position, position + end - index, device=device).expand(3, -1))
        position, index = position + end - index, end
    return torch.cat(parts, dim=1), position


def picture_numbers(is_picture: Tensor) -> Tensor:
    """bool [L] -> int64 [L]: which run of picture tokens a place belongs to, -1 for text."""
    begins = is_picture.clone()
    begins[1:] &= ~is_picture[:-1]
    return torch.where(is_picture, begins.cumsum(0) - 1, -1)
