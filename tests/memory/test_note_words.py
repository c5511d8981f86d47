"""A question's words are looked for in notes, and nothing in them is syntax."""

import sqlite3

import pytest

from memory.note_words import MOST_WORDS, words_to_match


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("Did a red car come by?", ["red", "reds", "car", "cars", "come", "comes"]),
        ("How many DOGS were there, and when?", ["dogs", "dog"]),
        ("a red car, the RED car", ["red", "reds", "car", "cars"]),
        ("Bus?", ["bus", "buss"]),
        ("Wer war am Tor? 門", ["wer", "wers", "war", "wars", "tor", "tors", "門", "門s"]),
        ("what was it?", []),
        ("", []),
        ("?!", []),
    ],
)
def test_the_words_that_a_note_may_tell(question, words):
    assert " OR ".join(words_to_match(question)) == " OR ".join(f'"{word}"' for word in words)


def test_a_long_question_has_so_many_words_and_no_more():
    assert len(words_to_match(" ".join(f"word{k}" for k in range(500)))) == MOST_WORDS


@pytest.mark.parametrize(
    "question", ['"red" OR car', "car AND NOT (dog*)", "note:car", "NEAR(car dog)", "c'est l\x00a", "-car ^dog"]
)
def test_nothing_in_a_question_is_syntax(question):
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE VIRTUAL TABLE notes USING fts5 (note)")
    connection.execute("INSERT INTO notes VALUES ('a car')")
    words = " OR ".join(words_to_match(question))
    found = connection.execute("SELECT note FROM notes WHERE notes MATCH ?", (words,)).fetchall()
    assert bool(found) == ("car" in question)
    connection.close()
