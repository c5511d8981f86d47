"""What the `models` command shows: the presets, what each needs on this machine, and what was tested of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.box import HORIZONTALS
from rich.console import Group
from rich.table import Table
from rich.text import Text

from llm.choosing import BUNDLED_FOLDER, Place, automatic, judge
from llm.errors import ModelLoadError
from llm.fetching import fetched
from llm.fit import free_bytes
from llm.hardware import best_device, best_dtype, can_quantise
from llm.presets import PRESETS
from llm.shapes import Shape
from llm.sizes import gigabytes

__all__ = ["ModelReport", "models_table", "report_models"]


@dataclass(frozen=True, slots=True)
class ModelReport:
    """A checkpoint, on this machine; sizes in bytes, for one camera at the default settings.

    tokens_per_frame     in a prompt
    needs_bytes          weights, keys and values of a full prompt, memory, working space
    needs_bytes_4bit     with `--quantize 4bit`; None where this device cannot
    free_bytes           None where the machine does not say
    is_parity_tested     a tiny random checkpoint of this family answers from memory what its own generate() says
    is_slow              too large for a CPU to answer in reasonable time
    is_run_here          this project's tests have run these very weights
    is_auto              what `--model auto` takes here
    """

    model: str
    family: str
    parameters: int
    tokens_per_frame: int
    device: str
    dtype: str
    weights_bytes: int
    prompt_bytes: int
    memory_bytes: int
    working_bytes: int
    needs_bytes: int
    needs_bytes_4bit: int | None
    free_bytes: int | None
    is_slow: bool
    is_fetched: bool
    is_gated: bool
    is_parity_tested: bool
    is_run_here: bool
    is_auto: bool

    @property
    def is_fitting(self) -> bool:
        return self.free_bytes is None or self.needs_bytes <= self.free_bytes

    def to_json(self) -> dict[str, Any]:
        """One object of plain values."""
        return {**asdict(self), "is_fitting": self.is_fitting}


def report_models() -> list[ModelReport]:
    """The bundled checkpoint and all presets, small ones first. Loads and fetches nothing."""
    device = best_device()
    place = Place(device, best_dtype(device))
    bundled = judge("bundled", BUNDLED_FOLDER, place).shape
    assert bundled is not None, "the bundled checkpoint is of a known family"
    best = _automatic(place)
    reports = [
        _report(preset.name, preset.shape, place, is_gated=preset.is_gated, is_auto=preset.name == best)
        for preset in PRESETS
    ]
    return [_report("bundled", bundled, place, is_bundled=True), *sorted(reports, key=lambda each: each.parameters)]


COLUMNS = ("model", "family", "size", "needs", "tokens", "tested", "here")
WIDE = 110
"""Characters that all columns take."""


def models_table(reports: Sequence[ModelReport], *, width: int = WIDE) -> Group:
    """A row per checkpoint, and below what its columns mean; two of them only where `width` characters are enough."""
    table = Table(box=HORIZONTALS, pad_edge=False, padding=(0, 1, 0, 0))
    shown = COLUMNS if width >= WIDE else tuple(name for name in COLUMNS if name not in ("family", "tokens"))
    for name in shown:
        is_number = name in ("size", "needs", "tokens")
        table.add_column(name, justify="right" if is_number else "left", no_wrap=name != "here")
    for report in reports:
        four = report.needs_bytes_4bit
        cells: dict[str, str | Text] = {
            "model": Text(report.model, "bold" if report.is_auto else ""),
            "family": report.family,
            "size": _count(report.parameters),
            "needs": gigabytes(report.needs_bytes) + ("" if four is None else f" ({gigabytes(four)})"),
            "tokens": str(report.tokens_per_frame),
            "tested": "run" if report.is_run_here else "parity" if report.is_parity_tested else "no",
            "here": _here(report),
        }
        table.add_row(*(cells[name] for name in shown))
    return Group(table, Text("\n".join(_legend(reports[0], is_wide=width >= WIDE)), "dim"))


def _count(parameters: int) -> str:
    if parameters >= 95e7:
        return f"{parameters / 1e9:.1f} B"
    return f"{parameters / 1e6:.{0 if parameters >= 1e7 else 1}f} M"


def _here(report: ModelReport) -> Text:
    words = Text("fits", "green") if report.is_fitting else Text("too large", "red")
    for holds, word in (
        (report.is_fitting and report.is_slow, "slow"),
        (report.is_fetched and not report.is_run_here, "fetched"),
        (report.is_gated and not report.is_fetched, "gated"),
        (report.is_auto, "auto"),
    ):
        if holds:
            words.append(f", {word}")
    return words


def _legend(report: ModelReport, *, is_wide: bool) -> list[str]:
    free = "" if report.free_bytes is None else f"; {gigabytes(report.free_bytes)} are free"
    four = "" if report.needs_bytes_4bit is None else ", in brackets with --quantize 4bit"
    return [
        f"needs: weights, a full prompt, one camera's memory, working space; {report.dtype} on {report.device}{four}"
        f"{free}.",
        *(["tokens: of a frame in a prompt."] if is_wide else []),
        "auto: what --model auto takes here. slow: on a CPU.",
        "gated: accept its terms at the hub first.",
        "tested: parity: a tiny random checkpoint of the family answers what its own generate() says, token for",
        "token; run: these very weights. No weights but the bundled ones have been run by this project.",
    ]


def _automatic(place: Place) -> str | None:
    try:
        return automatic(place)[0].name
    except ModelLoadError:
        return None


def _report(
    name: str,
    shape: Shape,
    place: Place,
    *,
    is_bundled: bool = False,
    is_gated: bool = False,
    is_auto: bool = False,
) -> ModelReport:
    need = place.needs(shape)
    return ModelReport(
        model=name,
        family=shape.family,
        parameters=shape.num_parameters,
        tokens_per_frame=shape.num_read,
        device=str(place.device),
        dtype=str(place.dtype).removeprefix("torch."),
        weights_bytes=need.weights,
        prompt_bytes=need.cache,
        memory_bytes=need.memory,
        working_bytes=need.working,
        needs_bytes=need.total,
        needs_bytes_4bit=place.needs(shape, quantize="4bit").total if can_quantise(place.device) else None,
        free_bytes=free_bytes(place.device),
        is_slow=place.is_slow(shape),
        is_fetched=is_bundled or fetched(name) is not None,
        is_gated=is_gated,
        is_parity_tested=True,
        is_run_here=is_bundled,
        is_auto=is_auto,
    )
