"""From a camera's picture to a model's pixels, beside the image processors of transformers, which run on Pillow.

`python -m benchmarks.bench_preprocessing`. The two take turns on the same picture, so that a busy machine slows both.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.harness import environment, write_result
from benchmarks.models.measure import pictures, seconds_of
from benchmarks.models.pillow import PROCESSORS, processed
from encoders import Preprocessing
from llm.families import FAMILIES, patch_rows

ROUNDS = 15
_err = Console(stderr=True)


def main() -> None:
    """Measures every family and writes benchmarks/results/preprocessing.json."""
    machine = environment()
    families = {family: beside_pillow(family) for family in PROCESSORS}
    table = Table("family", "pixels", "ours", "Pillow", "times", "mean difference", title="preprocessing one frame")
    for family, each in families.items():
        size, ours, theirs = each["pixels"], f"{each['ours_ms']} ms", f"{each['pillow_ms']} ms"
        table.add_row(family, size, ours, theirs, str(each["pillow_over_ours"]), str(each["mean_difference"]))
    Console().print(table)
    figures = {"picture": "1280 x 720", "families": families}
    _err.print("written to", write_result("preprocessing", figures, machine=machine).name)


def beside_pillow(family: str, *, rounds: int = ROUNDS) -> dict[str, Any]:
    """Medians of both, and how far their pixels are apart, of a range of 1."""
    make, size = PROCESSORS[family]
    theirs, (picture,) = make(), pictures(1)
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        ours = Preprocessing.from_folder(Path(folder), size=size, fit=FAMILIES[family].fit)

    def apply() -> torch.Tensor:
        return ours.apply([picture], device=torch.device("cpu"), dtype=torch.float32)

    pixels, wanted = apply(), processed(family, theirs, picture)
    if family.startswith("qwen"):
        pixels, _ = patch_rows(
            pixels, patch=theirs.patch_size, merge=theirs.merge_size, frames=theirs.temporal_patch_size
        )
    apart = float((pixels - wanted).abs().mean() * torch.tensor(ours.std).mean())
    own, pillow = [], []
    for _ in range(rounds):
        own.append(seconds_of(apply, repeats=1, warm=0))
        pillow.append(seconds_of(lambda: processed(family, theirs, picture), repeats=1, warm=0))
    return {
        "pixels": f"{size[1]} x {size[0]}",
        "ours_ms": round(median(own) * 1e3, 2),
        "pillow_ms": round(median(pillow) * 1e3, 2),
        "pillow_over_ours": round(median(pillow) / median(own), 1),
        "mean_difference": round(apart, 5),
    }


if __name__ == "__main__":
    main()
