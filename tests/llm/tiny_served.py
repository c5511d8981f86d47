"""Checkpoints in miniature as `transformers serve` takes them: one of text, one that sees, both random."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM, LlavaImageProcessorPil, LlavaProcessor, PreTrainedTokenizerFast

from llm.huggingface import BUNDLED_FOLDER
from tests.llm.tiny import LLAMA, make_checkpoint

_OF_TEXT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_OF_PARTS = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PICTURE_TOKENS = 16
"""A picture of the one that sees: 32 x 32 in patches of 8."""


def make_text_checkpoint(folder: Path, *, num_layers: int = 3) -> Path:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(BUNDLED_FOLDER)
    marks = ["<|im_start|>", "<|im_end|>"]
    tokenizer.add_special_tokens({"additional_special_tokens": marks}, replace_extra_special_tokens=False)
    tokenizer.chat_template = _OF_TEXT
    torch.manual_seed(3)
    shape = {key: value for key, value in LLAMA.items() if key != "model_type"}
    config = LlamaConfig(**{**shape, "num_hidden_layers": num_layers}, vocab_size=len(tokenizer))
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for weights in model.parameters():
            if weights.ndim > 1:
                weights.normal_(std=0.25)
    model.generation_config.eos_token_id = None  # it never ends by itself
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_seeing_checkpoint(folder: Path) -> Path:
    """A LLaVA, whose processor runs on Pillow; one with a part for videos (SmolVLM, Qwen-VL) wants torchvision."""
    make_checkpoint(folder, "llava")
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    tokenizer.chat_template = _OF_PARTS
    tokenizer.save_pretrained(folder)
    processor = LlavaProcessor(
        image_processor=LlavaImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}),
        tokenizer=tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=_OF_PARTS,
    )
    processor.save_pretrained(folder)
    return folder
