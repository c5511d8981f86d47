"""How a checkpoint is put on what is there. Quantised models were not run: what is handed over is looked at."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import logging

import pytest
import torch

from llm.errors import ModelLoadError
from llm.hardware import (
    attention,
    best_device,
    best_dtype,
    check_quantisation,
    is_loaded_at_once,
    quantisation,
)
from llm.huggingface import load

CPU, GPU = torch.device("cpu"), torch.device("cuda:0")


@pytest.fixture
def installed(monkeypatch):
    """`installed(name, ...)`: as if these packages were there."""
    real = importlib.util.find_spec

    def give(*names):
        monkeypatch.setattr(
            importlib.util,
            "find_spec",
            lambda name, *more: importlib.machinery.ModuleSpec(name, None) if name in names else real(name, *more),
        )

    return give


def test_a_cpu_computes_in_float32():
    assert best_dtype(CPU) == torch.float32
    assert best_device("cpu") == CPU


def test_weights_go_to_a_gpu_by_way_of_the_host_unless_accelerate_is_there(installed):
    installed("accelerate")
    assert is_loaded_at_once(GPU)
    assert is_loaded_at_once(CPU)


@pytest.mark.cuda
def test_a_gpu_computes_in_16_bits():
    device = best_device()
    assert device.type == "cuda"
    assert best_dtype(device).itemsize == 2


def test_flash_attention_is_taken_only_where_it_is_and_can_be(installed):
    assert attention("smolvlm", GPU, torch.bfloat16) is None
    installed("flash_attn")
    assert attention("smolvlm", GPU, torch.bfloat16) == "flash_attention_2"
    assert attention("smolvlm", GPU, torch.float32) is None
    assert attention("smolvlm", CPU, torch.bfloat16) is None
    assert attention("gemma3", GPU, torch.bfloat16) is None


def test_quantisation_keeps_what_it_is_told_to_keep(installed):
    installed("bitsandbytes", "accelerate")
    eight = quantisation("8bit", GPU, torch.bfloat16, keep=("lm_head", "model.vision_model"))
    four = quantisation("4bit", GPU, torch.bfloat16, keep=("lm_head", "model.vision_model"))
    assert eight.load_in_8bit
    assert not eight.load_in_4bit
    assert four.load_in_4bit
    assert (four.bnb_4bit_quant_type, four.bnb_4bit_compute_dtype) == ("nf4", torch.bfloat16)
    assert four.bnb_4bit_use_double_quant
    assert eight.llm_int8_skip_modules == four.llm_int8_skip_modules == ["lm_head", "model.vision_model"]


def test_quantisation_without_its_packages_fails_with_what_to_install():
    with pytest.raises(ModelLoadError, match=r"--quantize 4bit needs .*: pip install "):
        check_quantisation("4bit", GPU)


def test_quantisation_on_a_cpu_fails():
    with pytest.raises(ModelLoadError, match="--quantize 8bit needs an NVIDIA GPU, and this is cpu; leave it away"):
        load("bundled", device="cpu", quantize="8bit")


def test_what_was_loaded_is_told_in_one_line(caplog):
    caplog.set_level(logging.INFO, "llm")
    load("bundled", device="cpu")
    (line,) = caplog.messages
    assert line == (
        "bundled: smolvlm, 5.6 M parameters, float32 on cpu, sdpa attention, 16 tokens per frame, prompts of 2,560 "
        "tokens (64 pictures)"
    )
