"""How a checkpoint is put on the hardware that is there: device, dtype, attention, quantisation; it loads nothing."""

from __future__ import annotations

import importlib.util
from typing import Any, Literal

import torch

from llm.errors import ModelLoadError

Quantize = Literal["8bit", "4bit"]
_NEEDED = ("bitsandbytes", "accelerate")
_OWN_MASKS = ("gemma3",)
"""Families whose masks we make ourselves, which FlashAttention does not take."""


def best_device(device: str | None = None) -> torch.device:
    """The one that is asked for, else CUDA where there is one."""
    return torch.device(device or (f"cuda:{torch.cuda.current_device()}" if torch.cuda.is_available() else "cpu"))


def best_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where a GPU computes in it, float16 on older ones, float32 on a CPU."""
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16


def attention(family: str, device: torch.device, dtype: torch.dtype) -> str | None:
    """FlashAttention 2 where its package is and it can be used; None: what transformers takes, sdpa or else eager."""
    can = device.type == "cuda" and dtype in (torch.bfloat16, torch.float16) and family not in _OWN_MASKS
    return "flash_attention_2" if can and importlib.util.find_spec("flash_attn") is not None else None


def quantisation(quantize: Quantize, device: torch.device, dtype: torch.dtype, *, keep: tuple[str, ...]) -> Any:
    """A BitsAndBytesConfig for the language model's linear layers; the modules in `keep` stay in `dtype`.

    The vision tower and the projector are to be in it: what they make of a frame is kept for hours and decides what is
    merged, so it is to be the same however the language model is loaded.

    Raises: ModelLoadError where bitsandbytes or a GPU is missing.
    """
    check_quantisation(quantize, device)
    from transformers import BitsAndBytesConfig

    if quantize == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=list(keep))
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=list(keep),
    )


def is_loaded_at_once(device: torch.device) -> bool:
    """Whether weights go straight to the device; else they are read into this machine's own memory first."""
    return device.type == "cpu" or importlib.util.find_spec("accelerate") is not None


def can_quantise(device: torch.device) -> bool:
    """As far as the device goes."""
    return device.type == "cuda"


def check_quantisation(quantize: Quantize, device: torch.device) -> None:
    """Raises: ModelLoadError where this machine cannot do it, with what to install."""
    if not can_quantise(device):
        raise ModelLoadError(f"--quantize {quantize} needs an NVIDIA GPU, and this is {device}; leave it away")
    if missing := [name for name in _NEEDED if importlib.util.find_spec(name) is None]:
        raise ModelLoadError(f"--quantize {quantize} needs {' and '.join(missing)}: pip install {' '.join(missing)}")
