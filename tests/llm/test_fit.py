"""What is told of a checkpoint's needs before it is loaded is what it then takes."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from transformers import SmolVLMConfig

from llm.fit import _left_in_group, free_bytes, memory_bytes, needs
from llm.huggingface import BUNDLED_FOLDER
from llm.shapes import shape_of
from llm.sizes import gigabytes
from memory import Memory
from tests.llm.tiny import make_checkpoint

CPU = torch.device("cpu")


def _measured(folder):
    done = subprocess.run(
        [sys.executable, "-m", "tests.llm.loading", str(folder)],
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_the_bundled_checkpoint_takes_no_more_than_is_told():
    real = _measured(BUNDLED_FOLDER)
    assert real["memory"] == real["real_memory"]
    assert real["chunks"] >= 5, "the prompt was not long"
    assert real["told"] - 150e6 < real["most"] < real["told"]


def test_a_larger_checkpoint_takes_what_is_told(tmp_path):
    config = SmolVLMConfig(
        vision_config={
            "hidden_size": 384,
            "intermediate_size": 1536,
            "num_hidden_layers": 6,
            "num_attention_heads": 6,
            "image_size": 256,
            "patch_size": 16,
        },
        text_config={
            "model_type": "llama",
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_hidden_layers": 10,
            "num_attention_heads": 12,
            "num_key_value_heads": 6,
            "vocab_size": 4096,
            "max_position_embeddings": 8192,
        },
        scale_factor=2,
    )
    assert 100e6 < shape_of(config).num_parameters < 110e6
    real = _measured(make_checkpoint(tmp_path, "smolvlm", config=config))
    assert real["memory"] == real["real_memory"]
    assert 0.8 * real["told"] < real["most"] < 1.05 * real["told"]


def test_a_vision_tower_of_many_patches_takes_what_is_told(tmp_path):
    """8 pictures of 4,096 patches, as Gemma 3 has them, hold more between its layers than everything else."""
    config = SmolVLMConfig(
        vision_config={
            "hidden_size": 256,
            "intermediate_size": 1024,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "image_size": 896,
            "patch_size": 14,
        },
        text_config={
            "model_type": "llama",
            "hidden_size": 256,
            "intermediate_size": 512,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "vocab_size": 4096,
            "max_position_embeddings": 8192,
        },
        scale_factor=8,
    )
    real = _measured(make_checkpoint(tmp_path, "smolvlm", config=config))
    assert real["working"] > 0.6 * real["told"]
    assert 0.8 * real["told"] < real["most"] < 1.05 * real["told"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_memory_is_told_to_the_byte(dtype):
    told = memory_bytes(3, num_tokens=17, width=40, dtype=dtype, max_slots=64)
    assert told == Memory(3, num_tokens=17, width=40, max_slots=64, dtype=dtype).nbytes


def test_quantisation_and_smaller_numbers_need_less():
    config = SmolVLMConfig(
        text_config={"model_type": "llama", "hidden_size": 512, "num_hidden_layers": 8, "num_attention_heads": 8}
    )
    shape = shape_of(config)
    whole, half, eight, four = (
        needs(shape, dtype=dtype, device="cuda", quantize=quantize)
        for dtype, quantize in (
            (torch.float32, None),
            (torch.bfloat16, None),
            (torch.bfloat16, "8bit"),
            (torch.bfloat16, "4bit"),
        )
    )
    assert whole.weights == 2 * half.weights == 4 * shape.num_parameters
    assert half.weights - eight.weights == shape.num_linear
    assert half.weights > eight.weights > four.weights > 2 * (shape.num_parameters - shape.num_linear)
    assert (whole.cache, eight.cache, four.memory) == (2 * half.cache, half.cache, half.memory)
    assert str(whole).startswith(f"{gigabytes(whole.total)} (weights {gigabytes(whole.weights)}, ")


def test_this_machine_has_free_memory():
    free = free_bytes(CPU)
    assert free is not None
    assert 100e6 < free < 100e12


def test_the_tightest_limit_of_a_control_group_counts_less_what_is_kept_of_files(tmp_path):
    groups = tmp_path / "cgroup"
    groups.write_text("0::/outer/inner\n")
    for name, limit, used in (("outer", "1000", "700"), ("outer/inner", "max", "600")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "memory.max").write_text(f"{limit}\n")
        (folder / "memory.current").write_text(f"{used}\n")
        (folder / "memory.stat").write_text("anon 500\ninactive_file 150\n")
    assert _left_in_group(groups, tmp_path) == 450
    (tmp_path / "outer" / "memory.max").write_text("max\n")
    assert _left_in_group(groups, tmp_path) is None
    assert _left_in_group(tmp_path / "none", tmp_path) is None


def test_a_limit_of_the_older_control_groups_counts_too(tmp_path):
    groups = tmp_path / "cgroup"
    groups.write_text("5:cpu,cpuacct:/\n4:memory:/box\n")
    folder = tmp_path / "memory" / "box"
    folder.mkdir(parents=True)
    (folder / "memory.limit_in_bytes").write_text("2000\n")
    (folder / "memory.usage_in_bytes").write_text("1900\n")
    (folder / "memory.stat").write_text("total_inactive_file 100\n")
    assert _left_in_group(groups, tmp_path) == 200


@pytest.mark.parametrize(
    ("num_bytes", "words"), [(9.14e9, "9.1 GB"), (11.2e6, "11 MB"), (95e6, "0.1 GB"), (94e6, "94 MB"), (0, "0 MB")]
)
def test_bytes_are_told_as_people_read_them(num_bytes, words):
    assert gigabytes(num_bytes) == words
