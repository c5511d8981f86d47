"""The bundled checkpoint before it has learned anything: configuration, tokenizer, and how its folder is written."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import PreTrainedTokenizerFast, SmolVLMConfig, SmolVLMForConditionalGeneration

PICTURE_SIZE = 128
SCALE_FACTOR = 2
PARTS_PER_SIDE = 4
"""A picture becomes so many tokens in each direction."""
VOCABULARY_SIZE = 1024
PROMPT_TOKENS = 2560
NEAR_TOKENS = ((4, 0, 0), (24, 40, 0), (48, 0, 0))
"""How far before itself each head of the first layers begins to look."""
NEAR_STRENGTH = 12.0
"""How much more, in the exponent, the nearest token counts than a far one."""
_SLOWEST = 2e-3
ROTATIONS = {
    "rope_type": "llama3",
    "rope_theta": 10_000.0,
    "low_freq_factor": 4.0,
    "high_freq_factor": 10.0,
    "original_max_position_embeddings": 4000,
    "factor": 1000.0,
}
"""Planes that turn once in fewer than 400 tokens tell what is near; those that would need more than 1,000 hardly turn,
so that a head can find the slot that shows a red car however far away it stands."""
NUMBER_WAVES = (10.0, 12.0, 24.0, 30.0, 60.0, 120.0)
SPECIAL = {
    "pad_token": "<|endoftext|>",
    "bos_token": "<|im_start|>",
    "eos_token": "<end_of_utterance>",
}
PICTURE_TOKENS = ["<image>", "<fake_token_around_image>", "<global-img>"]
CHAT_TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{ message.role | capitalize }}: "
    "{% for part in message.content %}{{ '<image>' if part.type == 'image' else part.text }}{% endfor %}"
    "<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
)


def train_tokenizer(texts: Iterator[str]) -> PreTrainedTokenizerFast:
    """Byte-level BPE over `texts`: the yard's words become one token each, anything else can still be spelled.

    Numbers split into pairs of digits, so that a time of day is five tokens that can be copied.
    """
    core = Tokenizer(models.BPE())
    pairs = pre_tokenizers.Split(Regex(r"\d{1,2}"), behavior="isolated")
    core.pre_tokenizer = pre_tokenizers.Sequence([pairs, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=[*SPECIAL.values(), *PICTURE_TOKENS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        **SPECIAL,
        extra_special_tokens=PICTURE_TOKENS,
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=4096,
    )


def new_model(tokenizer: Any, *, seed: int) -> Any:
    """A SmolVLM of about 5.5 million parameters with random weights, but for what would be learned slowly.

    The numbers know what is near them, and heads of the first layers begin by looking at what stands right before.
    """
    torch.manual_seed(seed)
    config = SmolVLMConfig(
        vision_config={
            "hidden_size": 192,
            "intermediate_size": 768,
            "num_hidden_layers": 5,
            "num_attention_heads": 3,
            "image_size": PICTURE_SIZE,
            "patch_size": 16,
        },
        text_config={
            "model_type": "llama",
            "hidden_size": 192,
            "intermediate_size": 576,
            "num_hidden_layers": 7,
            "num_attention_heads": 3,
            "num_key_value_heads": 3,
            "head_dim": 64,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 4096,
            "rope_parameters": ROTATIONS,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            "tie_word_embeddings": True,
            "attention_bias": True,
        },
        scale_factor=SCALE_FACTOR,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = SmolVLMForConditionalGeneration(config)
    _embed_numbers(model.get_input_embeddings().weight, tokenizer)
    text_model = model.model.text_model
    for layer, widths in zip(text_model.layers, NEAR_TOKENS, strict=False):
        _look_near(layer.self_attn, widths, text_model.rotary_emb.inv_freq)
    return model


@torch.no_grad()
def _embed_numbers(weight: Tensor, tokenizer: Any) -> None:
    """Gives each number of one or two digits waves of several lengths, so that a difference of two can be told.

    The waves are as strong as what else is in the embedding [vocabulary, D], and in half of its channels.
    """
    scale = float(weight.std())
    lengths = torch.tensor(NUMBER_WAVES)
    num_channels = weight.shape[1] // 2 // (2 * len(lengths)) * 2 * len(lengths)
    for number in range(100):
        angles = 2 * math.pi * number / lengths
        waves = torch.stack([angles.sin(), angles.cos()]).flatten().repeat(num_channels // (2 * len(lengths)))
        for text in {f"{number:02}", str(number)}:
            token = tokenizer.convert_tokens_to_ids(text)
            if token is not None and token != tokenizer.unk_token_id:
                weight[token, :num_channels] = waves * scale * math.sqrt(2)


@torch.no_grad()
def _look_near(attention: Any, widths: tuple[int, ...], speeds: Tensor) -> None:
    """Head k prefers the `widths[k]` tokens before each; 0 leaves it as it is.

    The same bias of query and key in a plane that turns by `speeds` [head_dim / 2] per token adds its square times the
    cosine of the turn. All planes that turn little within `width` agree about the tokens in it, and the fewer the
    farther one is.
    """
    head_dim = attention.head_dim
    for head, width in enumerate(widths):
        if not width:
            continue
        planes = torch.nonzero((speeds > _SLOWEST) & (speeds < 1.5 / width)).flatten()
        strength = math.sqrt(NEAR_STRENGTH * math.sqrt(head_dim) / max(1, len(planes)))
        for projection in (attention.q_proj, attention.k_proj):
            projection.bias[head * head_dim + planes] = strength


def save_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Write what makes a folder loadable by name before it has weights."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    preprocessor = {
        "image_processor_type": "SmolVLMImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"longest_edge": PICTURE_SIZE},
        "max_image_size": {"longest_edge": PICTURE_SIZE},
        "do_image_splitting": False,
        "resample": 2,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "do_pad": False,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor, indent=2) + "\n")
    card = {"knows_only": "demo", "prompt_tokens": PROMPT_TOKENS}
    (folder / "longwatch.json").write_text(json.dumps(card, indent=2) + "\n")


def save_model(model: Any, folder: Path) -> None:
    """Write configuration and float16 weights; `model` itself keeps its precision."""
    half = SmolVLMForConditionalGeneration(model.config)
    half.load_state_dict(model.state_dict())
    half.to(torch.float16).save_pretrained(folder)
