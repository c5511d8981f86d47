"""A question's words as a search in notes. It knows no database but SQLite's full-text syntax."""

import re

MOST_WORDS = 16
_LEAST_LETTERS = 3
_WORD = re.compile(r"[^\W_]+")
_ASKING = re.compile(
    "and|any|are|did|does|for|from|had|has|have|how|long|many|much|often|the|there|this|was|were|what|when|where|"
    "which|who|whom|whose|why|with|you"
)
"""No note tells these."""


def words_to_match(question: str) -> tuple[str, ...]:
    """ "Did a red car come?" -> ('"red" OR "reds"', '"car" OR "cars"', ...): each word in singular or plural.

    Words of writing without spaces are one word, and found only as that.
    """
    words = (word for word in _WORD.findall(question.lower()) if len(word) >= _LEAST_LETTERS or not word.isascii())
    telling = list(dict.fromkeys(word for word in words if not _ASKING.fullmatch(word)))[:MOST_WORDS]
    return tuple(" OR ".join(f'"{form}"' for form in _forms(word)) for word in telling)


def _forms(word: str) -> tuple[str, str]:
    return (word, word.removesuffix("s")) if word.endswith("s") and len(word) > _LEAST_LETTERS else (word, f"{word}s")
