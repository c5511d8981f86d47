"""Small mistakes leave a question readable."""

import difflib

import numpy as np

from streamer.yard.questions import with_typos
from streamer.yard.wordings import BY_CLASS


def test_a_few_letters_differ_and_numbers_and_short_words_stay():
    rng = np.random.default_rng(0)
    texts = [wording for wordings in BY_CLASS.values() for group in wordings for wording in group.train]
    texts = [
        text.format(**dict.fromkeys(("a", "the", "the_other", "thing", "things", "span"), "red car at 14:05"))
        for text in texts
    ]
    num_changed = 0
    for text in texts * 20:
        typed = with_typos(text, rng)
        assert typed
        assert difflib.SequenceMatcher(None, text.lower(), typed.lower()).ratio() > 0.75
        if "14:05" in text:
            assert "14:05" in typed
            assert "red car" in typed.lower()
        num_changed += typed != text
    assert num_changed > 0.8 * len(texts) * 20


def test_the_same_choices_give_the_same_mistakes():
    assert with_typos("What happened?", np.random.default_rng(3)) == with_typos(
        "What happened?", np.random.default_rng(3)
    )


def test_a_text_without_long_words_is_only_lowered():
    rng = np.random.default_rng(1)
    assert {with_typos("Dog?", rng).lower().rstrip("?") for _ in range(50)} >= {"dog"}
    assert with_typos("?", rng)
