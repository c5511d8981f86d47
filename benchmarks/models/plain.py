"""A question in plain transformers, as a user would ask it without a memory: all frames as pictures into generate()."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from llm.families import InstructBlip, patch_rows
from llm.huggingface import HuggingFaceModel


def own_inputs(model: HuggingFaceModel, pixels: Tensor, ids: Tensor, question: str) -> dict[str, Any]:
    """What the family's own `generate` wants beside ids int64 [1, L]: pixels [S, 3, H, W] in its own form."""
    family = model.model.config.model_type
    match family:
        case "smolvlm" | "idefics3":
            return {"pixel_values": pixels[None]}
        case "qwen2_5_vl" | "qwen3_vl":
            vision = model.model.config.vision_config
            patches, grid = patch_rows(
                pixels, patch=vision.patch_size, merge=vision.spatial_merge_size, frames=vision.temporal_patch_size
            )
            kinds = (ids == model.image_id).int()
            return {"pixel_values": patches, "image_grid_thw": grid, "mm_token_type_ids": kinds}
        case "gemma3":
            return {"pixel_values": pixels, "token_type_ids": (ids == model.image_id).long()}
        case "llava_onevision":
            sizes = torch.tensor([list(pixels.shape[-2:])] * len(pixels))
            whole = torch.tensor([len(pixels) + 1])  # more than one in a prompt are not cut into tiles
            return {"pixel_values": pixels[:, None], "image_sizes": sizes, "batch_num_images": whole}
    if isinstance(model.family, InstructBlip):
        words = torch.tensor([model.family.qformer_tokenizer(question).input_ids]).expand(len(pixels), -1)
        return {"pixel_values": pixels, "qformer_input_ids": words}
    return {"pixel_values": pixels}


@torch.inference_mode()
def generate(model: HuggingFaceModel, pixels: Tensor, ids: Tensor, question: str, *, num_new: int) -> list[int]:
    """`num_new` ids, greedily; it never ends early."""
    written = model.model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=num_new,
        eos_token_id=-1,
        do_sample=False,
        **own_inputs(model, pixels, ids, question),
    )[0]
    return list(written[-num_new:].tolist())
