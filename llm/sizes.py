"""Bytes as people read them."""

from __future__ import annotations


def gigabytes(num_bytes: float) -> str:
    """Decimal, as shops and file managers count: "9.1 GB", "11 MB"."""
    return f"{num_bytes / 1e9:.1f} GB" if num_bytes >= 95e6 else f"{max(0.0, num_bytes) / 1e6:.0f} MB"
