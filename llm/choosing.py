"""From what a person typed to a checkpoint's folder, judged before its weights are fetched or read."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from llm.errors import ModelLoadError
from llm.families import FAMILIES
from llm.fetching import HUB_NAME, Bar, fetch, fetched, missing
from llm.fit import Needs, free_bytes, needs
from llm.hardware import Quantize, can_quantise, is_loaded_at_once
from llm.presets import PRESETS, Preset
from llm.shapes import DEFAULT_PROMPT_TOKENS, Shape, shape_of
from llm.sizes import gigabytes

log = logging.getLogger(__name__)

BUNDLED_FOLDER = Path(__file__).parent / "bundled"
CPU_MOST_PARAMETERS = 600_000_000
"""On a CPU `auto` takes no larger ones: to read a full prompt of 4,096 tokens takes about 2 x 4,096 operations per
parameter, which is a minute for 500 M parameters at the 70 GFLOP/s that two cores have shown here."""


@dataclass(frozen=True)
class Place:
    """Where a checkpoint is to run, and beside the memory of how many cameras."""

    device: torch.device
    dtype: torch.dtype
    quantize: Quantize | None = None
    num_cameras: int = 1

    def needs(self, shape: Shape, *, quantize: Quantize | None = None) -> Needs:
        return needs(
            shape,
            dtype=self.dtype,
            device=self.device.type,
            quantize=quantize or self.quantize,
            num_cameras=self.num_cameras,
        )

    def is_slow(self, shape: Shape) -> bool:
        """Too large for a CPU to answer in reasonable time."""
        return self.device.type == "cpu" and shape.num_parameters > CPU_MOST_PARAMETERS

    def is_room_for(self, need: Needs) -> bool:
        """True too where nobody says how much is free."""
        free = free_bytes(self.device)
        return free is None or need.total <= free


@dataclass(frozen=True)
class Judged:
    """A folder whose config says that it will work. `shape` is None where the family is unlike all that are known."""

    folder: Path
    config: Any
    card: dict[str, Any]
    shape: Shape | None


def find(name: str, place: Place, *, bar: Bar) -> tuple[str, Judged]:
    """The checkpoint's own name and its folder; fetched from the hub where it is a name and not yet here.

    name  "bundled", "auto", a folder, or OWNER/NAME[@REVISION]

    Raises: ModelLoadError, one line that says what is wrong and what to do.
    """
    if name == "auto":
        return _automatic(place, bar=bar)
    folder = BUNDLED_FOLDER if name == "bundled" else Path(name).expanduser()
    if name.startswith("openai:"):
        raise ModelLoadError(
            "model openai:... is on a server and has no folder: streamer.agent.load_model joins it to the agent"
        )
    if folder.is_dir():
        lacks = missing(folder)
        judged = judge(name, folder, place) if (folder / "config.json").is_file() else None
        if lacks is not None or judged is None:
            raise ModelLoadError(f"model {name!r} cannot be loaded from {folder}: {lacks}")
        return name, judged
    if not HUB_NAME.fullmatch(name):
        raise ModelLoadError(
            f"model {name!r} is not found: give 'bundled', 'auto', a folder with a transformers checkpoint, or "
            "OWNER/NAME"
        )
    return name, _from_hub(name, place, bar=bar)


def judge(name: str, folder: Path, place: Place) -> Judged:
    """By its config alone: does it read pictures, does it fit?

    Raises: ModelLoadError.
    """
    from transformers import CONFIG_MAPPING, AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

    card_file = folder / "longwatch.json"
    try:
        card = json.loads(card_file.read_text()) if card_file.is_file() else {}
        named = json.loads((folder / "config.json").read_text())
        if "auto_map" in named and named.get("model_type") not in CONFIG_MAPPING:
            why = "which needs code that lies beside its weights, and such code is never run"
            raise ModelLoadError(wrong_family(name, str(named.get("model_type", "unknown")), why))
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        if config.model_type not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
            raise ModelLoadError(wrong_family(name, config.model_type, "which does not read pictures"))
        shape = _shape(config, card)
    except (ImportError, OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise ModelLoadError(f"model {name!r} cannot be loaded from {folder}: {first_line(error)}") from error
    if (stored := getattr(config, "quantization_config", None)) is not None:
        method = stored.get("quant_method", "unknown") if isinstance(stored, dict) else type(stored).__name__
        raise ModelLoadError(
            f"model {name!r} is stored quantised ({method}), which is not supported; take the checkpoint that it was "
            "made of, and --quantize 4bit on an NVIDIA GPU"
        )
    if shape is not None:
        _refuse_too_large(name, shape, place)
    return Judged(folder, config, card, shape)


def automatic(place: Place) -> list[Preset]:
    """The presets that `auto` may take on this machine, the one first that its publishers say is best.

    Raises: ModelLoadError where none fits, with why.
    """
    fitting, others = _sorted(place)
    if not fitting:
        free = gigabytes(free_bytes(place.device) or 0)
        raise ModelLoadError(
            f"--model auto: nothing fits into {free} free on {place.device}: {', '.join(others)}; free "
            "some memory, or take a model on a server (openai:URL#NAME)"
        )
    return fitting


def wrong_family(name: str, family: str, why: str) -> str:
    return f"model {name!r} is of family {family!r}, {why}; families that work: {', '.join(sorted(FAMILIES))}"


def first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def prompt_tokens(card: dict[str, Any]) -> int:
    """The prompt budget that a checkpoint's card asks for."""
    return int(card.get("prompt_tokens", DEFAULT_PROMPT_TOKENS))


def _from_hub(name: str, place: Place, *, bar: Bar) -> Judged:
    for preset in PRESETS:
        if preset.name == name.partition("@")[0]:
            _refuse_too_large(name, preset.shape, place)  # known without asking anybody

    def before_weights(folder: Path) -> None:
        judge(name, folder, place)

    return judge(name, fetch(name, bar=bar, before_weights=before_weights), place)


def _automatic(place: Place, *, bar: Bar) -> tuple[str, Judged]:
    """The best preset, told with why; where it is not here and cannot be fetched, the best that is here."""
    best, *others = automatic(place)
    log.info("%s", why_automatic(best, place))
    try:
        return best.name, _from_hub(best.name, place, bar=bar)
    except ModelLoadError as error:
        for other in others:
            if (folder := fetched(other.name)) is not None:
                log.warning("auto: %s, which is here, is taken instead: %s", other.name, error)
                return other.name, judge(other.name, folder, place)
        raise


def why_automatic(best: Preset, place: Place) -> str:
    """In one line: what `auto` takes, what it needs of what there is, and why no better one."""
    free = free_bytes(place.device)
    room = "" if free is None else f" of {gigabytes(free)} free"
    _, others = _sorted(place)
    return (
        f"auto: {best.name} (needs {gigabytes(place.needs(best.shape).total)}{room} on {place.device})"
        f"{'; not ' + ', '.join(others) if others else ''}"
    )


def _sorted(place: Place) -> tuple[list[Preset], list[str]]:
    """Presets that `auto` may take, the best first, and in words those that come before the first of them."""
    fitting: list[Preset] = []
    others: list[str] = []
    for preset in sorted((each for each in PRESETS if each.auto_rank), key=lambda each: each.auto_rank or 0):
        need = place.needs(preset.shape)
        if place.is_slow(preset.shape):
            why = "too slow on a CPU"
        elif not place.is_room_for(need):
            why = f"needs {gigabytes(need.total)}"
        else:
            fitting.append(preset)
            continue
        if not fitting:
            others.append(f"{preset.name} ({why})")
    return fitting, others


def _shape(config: Any, card: dict[str, Any]) -> Shape | None:
    """None where the family is unknown and unlike the others: then nobody knows what it needs."""
    try:
        return shape_of(config, prompt_tokens=prompt_tokens(card))
    except (ValueError, AttributeError, TypeError, RuntimeError):
        if config.model_type in FAMILIES:
            raise
        return None


def _refuse_too_large(name: str, shape: Shape, place: Place) -> None:
    need = place.needs(shape)
    if place.is_room_for(need):
        _refuse_too_large_on_the_way(name, shape, place)
        return
    tries: list[str] = []
    for quantize in ("8bit", "4bit"):
        smaller = place.needs(shape, quantize=quantize)
        if not tries and place.quantize is None and can_quantise(place.device) and place.is_room_for(smaller):
            tries.append(f"--quantize {quantize} ({gigabytes(smaller.total)})")
    fitting, _ = _sorted(place)
    if fitting:
        tries.append(f"--model {fitting[0].name} ({gigabytes(place.needs(fitting[0].shape).total)})")
    free = free_bytes(place.device) or 0
    raise ModelLoadError(
        f"model {name!r} needs {need}, and {gigabytes(free)} are free on {place.device}; "
        + (f"try {' or '.join(tries)}" if tries else "free some memory, or watch fewer cameras")
    )


def _refuse_too_large_on_the_way(name: str, shape: Shape, place: Place) -> None:
    """To a GPU, but through this machine's own memory."""
    if is_loaded_at_once(place.device):
        return
    weights, free = place.needs(shape).weights, free_bytes(torch.device("cpu"))
    if free is not None and weights > free:
        raise ModelLoadError(
            f"model {name!r} fits on {place.device}, but without accelerate its {gigabytes(weights)} of weights are "
            f"loaded through this machine's own memory, of which {gigabytes(free)} are free: pip install accelerate"
        )
