"""The Triton kernel: interpreted on the CPU, compiled for GPUs without one, and run on one where there is one."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).parents[2]


def run_cases(**environment: str) -> None:
    """Triton reads TRITON_INTERPRET when it is imported, so the cases need a process of their own."""
    kept = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/memory/kernel_cases.py"]
    done = subprocess.run(
        command, cwd=ROOT, env={**kept, **environment}, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout
    assert "skipped" not in done.stdout


def test_the_kernel_passes_its_cases_under_the_interpreter() -> None:
    pytest.importorskip("triton")
    run_cases(TRITON_INTERPRET="1")


@pytest.mark.cuda
def test_the_kernel_passes_its_cases_on_a_gpu() -> None:
    run_cases()


POINTERS = {
    "bad_ptr": "*i8",
    "barriers_ptr": "*i1",
    "num_valid_ptr": "*i32",
    "boundaries_ptr": "*i32",
    "num_kept_ptr": "*i32",
    "num_nonfinite_ptr": "*i32",
}
GRAM = {"num_tokens": 32, "stored_width": 768, "width": 768}
DEEP = {"num_tokens": 64, "stored_width": 4608, "width": 1152}
DECIDE = {"HAS_WEIGHTS": True, "HAS_NUM_VALID": True, "HAS_BARRIERS": True, "num_parts": 32}
SMALL = {"HAS_NUM_VALID": True, "num_slots": 18}
TILED = {"HAS_NUM_VALID": True, "num_slots": 256}
VARIANTS: list[tuple[str, str, dict[str, Any]]] = [
    ("gram_token_kernel", "bf16", {**GRAM, **SMALL}),
    ("gram_token_kernel", "fp32", {**GRAM, **SMALL}),
    ("gram_token_kernel", "fp16", {**DEEP, **TILED}),
    ("gram_token_kernel", "fp32", {**DEEP, **TILED}),
    ("gram_pooled_kernel", "fp16", {**GRAM, **SMALL}),
    ("gram_pooled_kernel", "bf16", {**DEEP, **TILED}),
    ("gram_pooled_kernel", "fp32", {**DEEP, **TILED}),
    ("decide_kernel", "", {**DECIDE, "COSINE": True, "WEIGHTED": True, "BLOCK_T": 32, "BLOCK_KEEP": 4}),
    (
        "decide_kernel",
        "",
        {**DECIDE, "COSINE": False, "WEIGHTED": False, "BLOCK_T": 32, "BLOCK_KEEP": 4, "num_parts": 729},
    ),
    (
        "decide_kernel",
        "",
        {**DECIDE, "COSINE": True, "WEIGHTED": True, "BLOCK_T": 512, "BLOCK_KEEP": 512, "num_parts": 1024},
    ),
    ("decide_kernel", "", {**DECIDE, "COSINE": False, "WEIGHTED": False, "BLOCK_T": 256, "BLOCK_KEEP": 256}),
    ("write_kernel", "bf16", {"stored_width": 768, "BLOCK_T": 8, "BLOCK": 256}),
    ("write_kernel", "fp32", {"stored_width": 4608, "BLOCK_T": 2, "BLOCK": 1024}),
]


@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize(("name", "dtype", "constants"), VARIANTS)
def test_the_kernels_compile_without_a_gpu(
    name: str, dtype: str, constants: dict[str, Any], capability: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    triton = pytest.importorskip("triton")
    if os.environ.get("TRITON_INTERPRET") == "1":
        pytest.skip("interpreted kernels cannot be compiled")
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from memory.similarity_merge import kernel

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    function = getattr(kernel, name)
    if name == "gram_token_kernel":
        constants = {**constants, "DOT_DTYPE": kernel.tl.dtype(dtype)}
    num_warps = 4
    if name.startswith("gram"):
        constants = dict(constants)
        num_slots, width = constants.pop("num_slots"), constants["stored_width"]
        torch_dtype = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[dtype]
        block_t, block_d, num_warps = kernel.gram_blocks(num_slots, width, torch_dtype, pooled="pooled" in name)
        constants |= {"BLOCK_T": block_t, "BLOCK_D": block_d, "ONE_TILE": num_slots <= block_t}
    if name == "decide_kernel":
        _, block_p, num_warps = kernel.decide_blocks(constants["BLOCK_T"], constants["num_parts"])
        constants = {**constants, "BLOCK_P": block_p}
    signature = {}
    for argument in function.arg_names:
        if argument in constants:
            signature[argument] = "constexpr"
        elif argument in ("x_ptr", "out_ptr"):
            signature[argument] = f"*{dtype}"
        elif argument.endswith("_ptr"):
            signature[argument] = POINTERS.get(argument, "*fp32")
        else:
            signature[argument] = "i64" if argument.startswith("stride") else "i32"
    places = {(function.arg_names.index(key),): value for key, value in constants.items()}
    source = ASTSource(fn=function, signature=signature, constexprs=places)
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options={"num_warps": num_warps})
    assert f".target sm_{capability}" in compiled.asm["ptx"]
    assert len(compiled.asm["cubin"]) > 0
    num_registers, spilled_bytes = usage_of(triton, compiled.asm["cubin"], tmp_path)
    assert spilled_bytes == 0
    assert num_registers * 32 * num_warps <= 65_536, "a block does not fit a multiprocessor's registers"
    assert 16 <= num_registers <= 255


def usage_of(triton: Any, cubin: bytes, folder: Path) -> tuple[int, int]:
    """A thread's registers, and the bytes that it keeps outside of them; read from the machine code."""
    path = folder / "kernel.cubin"
    path.write_bytes(cubin)
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    usage = subprocess.run([tool, "-res-usage", path], capture_output=True, text=True, check=True).stdout
    registers, stack, local = (int(usage.split(f"{name}:")[1].split()[0]) for name in ("REG", "STACK", "LOCAL"))
    return registers, stack + local
