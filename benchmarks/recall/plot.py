"""The picture of the recall benchmark: accuracy over the age of the evidence, one line per policy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

STYLE: dict[str, dict[str, Any]] = {
    "similarity": {"color": "#0b6e4f", "linewidth": 2.6, "marker": "o"},
    "moviechat": {"color": "#c8553d", "marker": "s"},
    "uniform": {"color": "#3a6ea5", "marker": "^"},
    "fifo": {"color": "#8f6fb0", "marker": "v"},
    "last 4 frames": {"color": "#8a8a8a", "marker": "x", "linestyle": "--"},
    "blind": {"color": "#b8b8b8", "marker": ".", "linestyle": ":"},
}
LEAST_QUESTIONS = 12
"""Points of fewer questions are left out."""


def draw_plot(figures: dict[str, Any], file: Path) -> None:
    """PNG of `figures["accuracy_by_age"]`."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    picture, axes = plt.subplots(figsize=(8, 4.2), dpi=150)
    ages: set[int] = set()
    for name, points in figures["accuracy_by_age"].items():
        kept = [(int(age), each["accuracy"]) for age, each in points.items() if each["questions"] >= LEAST_QUESTIONS]
        ages |= {age for age, _ in kept}
        axes.plot([age for age, _ in kept], [100 * share for _, share in kept], label=name, **STYLE.get(name, {}))
    axes.set_xscale("log")
    shown = sorted(ages)
    axes.set_xticks(shown, [age_text(age) for age in shown], fontsize=8)
    axes.minorticks_off()
    axes.set_ylim(0, 100)
    axes.set_xlabel("age of the evidence, up to")
    axes.set_ylabel("exactly right answers, %")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    picture.tight_layout()
    picture.savefig(file)
    plt.close(picture)


def age_text(seconds: int) -> str:
    """ "30 s", "5 min", "3 h", "2 days"."""
    for unit, length in (("s", 60), ("min", 3600), ("h", 2 * 86_400)):
        if seconds < length:
            return f"{seconds // {'s': 1, 'min': 60, 'h': 3600}[unit]} {unit}"
    return f"{seconds // 86_400} days"
