"""What a config says of a checkpoint before it is loaded: parameters, tokens per frame, what a prompt costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from llm.families import FAMILIES, GRIDS, Family

ANSWER_TOKENS = 96
DEFAULT_PROMPT_TOKENS = 4096


@dataclass(frozen=True)
class Shape:
    """Counted on the model itself, built without memory (torch's meta device), and read off its config.

    num_linear        parameters in linear layers of the language model, which quantisation makes small
    num_tokens, width a frame as memory keeps it: [N, W]
    num_read          tokens that it takes in a prompt: P
    pixels            (height, width) of the picture that the vision tower takes
    seen_values       numbers that the vision tower holds of one picture in the midst of its widest layer
    values_per_token  keys and values that the cache keeps of a token of the prompt, over all layers
    windowed          the same of layers that look back over a window only, and that window: (values, tokens)
    widest            channels of the language model's widest layer
    prompt_tokens     the longest prompt
    outside           modules that are not of the language model's layers: vision tower, projector, head
    """

    family: str
    num_parameters: int
    num_linear: int
    num_tokens: int
    width: int
    num_read: int
    pixels: tuple[int, int]
    seen_values: int
    values_per_token: int
    windowed: tuple[int, int]
    widest: int
    prompt_tokens: int
    outside: tuple[str, ...]


def shape_of(config: Any, *, prompt_tokens: int = DEFAULT_PROMPT_TOKENS) -> Shape:
    """Of a transformers config of a vision-language model; takes about 0.1 s and no memory, however large it is.

    Raises: ValueError, AttributeError, TypeError or RuntimeError where the family is unknown and unlike all others.
    """
    from transformers import AutoModelForImageTextToText

    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)
    decoder = model.get_decoder()
    num_linear = sum(
        module.weight.numel()
        for name, module in decoder.named_modules()
        if isinstance(module, nn.Linear) and not name.endswith("lm_head")
    )
    text = config.get_text_config(decoder=True)
    tokens, width = _tokens(config, text)
    values, windowed = _cached(text)
    return Shape(
        family=config.model_type,
        num_parameters=sum(weights.numel() for weights in model.parameters()),
        num_linear=num_linear,
        num_tokens=tokens,
        width=width,
        num_read=config.num_query_tokens if config.model_type == "instructblip" else tokens,
        pixels=FAMILIES.get(config.model_type, Family).size(config),
        seen_values=_seen(config),
        values_per_token=values,
        windowed=windowed,
        widest=max(getattr(text, "intermediate_size", 0), getattr(text, "ffn_dim", 0), text.hidden_size),
        prompt_tokens=min(prompt_tokens, longest_prompt(text)),
        outside=_outside(model, decoder),
    )


def longest_prompt(text: Any) -> int:
    """Tokens that a language model of this config can read and still answer; a T5 does not say."""
    longest = getattr(text, "max_position_embeddings", None) or getattr(text, "n_positions", None) or 512
    return int(longest) - ANSWER_TOKENS


def _tokens(config: Any, text: Any) -> tuple[int, int]:
    """[N, W] of a frame as the family's `project` gives it."""
    family, vision = config.model_type, config.vision_config
    if family in GRIDS:
        rows, columns = GRIDS[family]
        levels = len(vision.deepstack_visual_indexes) if family == "qwen3_vl" else 0
        return rows * columns, text.hidden_size * (1 + levels)
    if family == "gemma3":
        return int(config.mm_tokens_per_image), text.hidden_size
    if family == "blip-2":
        return int(config.num_query_tokens), text.hidden_size
    patch = vision.patch_size
    side = FAMILIES.get(family, Family).size(config)[0] // int(patch[0] if isinstance(patch, list | tuple) else patch)
    match family:
        case "smolvlm" | "idefics3":
            return (side // config.scale_factor) ** 2, text.hidden_size
        case "internvl":
            return int((side * config.downsample_ratio) ** 2), text.hidden_size
        case "llava_onevision":
            return side * side + 1, text.hidden_size
        case "instructblip":
            return side * side + 1, vision.hidden_size
    return side * side, text.hidden_size


def _seen(config: Any) -> int:
    """What goes on from a layer and the two sides of its activation, of each patch."""
    vision, (height, width) = config.vision_config, FAMILIES.get(config.model_type, Family).size(config)
    patch = vision.patch_size
    rows, columns = patch if isinstance(patch, list | tuple) else (patch, patch)
    inner = int(getattr(vision, "intermediate_size", 4 * vision.hidden_size))
    return (height // int(rows)) * (width // int(columns)) * (2 * inner + 3 * int(vision.hidden_size))


def _cached(text: Any) -> tuple[int, tuple[int, int]]:
    """Values per token of layers that look back over all, and (values per token, window) of the others."""
    layers = text.num_hidden_layers
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    head_dim = getattr(text, "head_dim", None) or getattr(text, "d_kv", None)
    each = 2 * heads * (head_dim or text.hidden_size // text.num_attention_heads)
    kinds = getattr(text, "layer_types", None) or ["full_attention"] * layers
    num_windowed = sum(kind == "sliding_attention" for kind in kinds)
    window = int(getattr(text, "sliding_window", None) or 0)
    return (layers - num_windowed) * each, (num_windowed * each, window)


def _outside(model: nn.Module, decoder: nn.Module) -> tuple[str, ...]:
    """Names of modules beside the way from the root to the language model's layers."""
    place = next(name for name, module in model.named_modules() if module is decoder)
    outside: list[str] = []
    at: nn.Module = model
    above = ""
    for part in place.split("."):
        outside += [above + name for name, _ in at.named_children() if name != part]
        at, above = getattr(at, part), f"{above}{part}."
    return (*outside, *(f"{above}{name}" for name, _ in at.named_children() if name == "lm_head"))
