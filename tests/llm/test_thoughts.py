"""A thinking model's thoughts stay out of its answer, however the pieces are cut."""

from __future__ import annotations

import pytest

from llm.thoughts import Thoughts


def _said(text: str, *, size: int, prompt: str = "") -> str:
    thoughts = Thoughts(prompt)
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    return "".join([*map(thoughts.take, pieces), thoughts.end()])


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A red car.", "A red car."),
        ("<think>a car? yes</think>\n\nA red car.", "A red car."),
        ("<think></think>A red car.", "A red car."),
        ("A <b and > c.", "A <b and > c."),
        ("It is <thin ice", "It is <thin ice"),
        ("First.<thinking>hm</thinking> Second.", "First. Second."),
        ("<think>never ends", ""),
        ("ends with <", "ends with <"),
        ("◁think▷hm◁/think▷Yes.", "Yes."),
        ("<think>one</think>a<think>two</think>b", "ab"),
    ],
)
def test_what_stands_outside_of_thoughts_is_said(text: str, expected: str, size: int) -> None:
    assert _said(text, size=size) == expected


@pytest.mark.parametrize("size", [1, 4, 100])
def test_a_prompt_that_ends_in_a_thought_begins_one(size: int) -> None:
    assert (
        _said("hm, a car</think>\n\nA red car.", size=size, prompt="<|im_start|>assistant\n<think>\n") == "A red car."
    )


def test_a_word_is_said_as_soon_as_it_cannot_become_a_mark() -> None:
    thoughts = Thoughts()
    assert thoughts.take("A car <") == "A car "
    assert thoughts.take("3 m") == "<3 m"
    assert not thoughts.is_thinking
