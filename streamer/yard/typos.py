"""Small mistakes of typing, as people make them; numbers and short words stay as they are."""

from __future__ import annotations

import re

import numpy as np

_NEIGHBOURS = {
    row[place]: row[max(0, place - 1) : place] + row[place + 1 : place + 2]
    for row in ("qwertyuiop", "asdfghjkl", "zxcvbnm")
    for place in range(len(row))
}
_LEAST_LETTERS = 4
"""Words with fewer letters can become other words: red, car, dog."""


def with_typos(text: str, rng: np.random.Generator) -> str:
    """`text` with one or two small mistakes: a slip in a word, no capital, or no mark at the end."""
    for _ in range(1 if rng.random() < 0.7 else 2):
        draw = rng.random()
        if draw < 0.2:
            text = text.rstrip("?.") or text
        elif draw < 0.4:
            text = text.lower()
        else:
            text = _slip(text, rng)
    return text


def _slip(text: str, rng: np.random.Generator) -> str:
    words = [match for match in re.finditer(r"[A-Za-z]+", text) if len(match[0]) >= _LEAST_LETTERS]
    if not words:
        return text.lower()
    word = words[int(rng.integers(len(words)))]
    place = word.start() + int(rng.integers(1, len(word[0]) - 1))
    before, letter, after = text[:place], text[place], text[place + 1 :]
    match int(rng.integers(4)):
        case 0:
            return before + after
        case 1:
            return before + letter + letter + after
        case 2:
            return before + after[0] + letter + after[1:]
        case _:
            near = _NEIGHBOURS[letter.lower()]
            return before + near[int(rng.integers(len(near)))] + after
