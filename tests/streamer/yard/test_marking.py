"""What is forgiven, and what is not."""

import pytest

from streamer.yard.marking import SummaryScore, is_right, score_summary
from streamer.yard.past import YardQuestion


def _question(answer, klass="past", **more):
    return YardQuestion("?", klass, answer, 0.0, **more)


@pytest.mark.parametrize(
    ("true", "told"),
    [
        ("Yes, at 14:05.", "Yes, at 14:06."),
        ("At 23:59.", "At 00:00."),
        ("A red car at 14:05.", " A red car at 14:04.\n"),
        ("At 14:05, a 2nd at 14:27: twice.", "At 14:06, a 2nd at 14:27: twice."),
        ("From 14:03:05 to 14:03:45, 40 seconds.", "From 14:02:59 to 14:03:50, 50 seconds."),
        ("From 14:03:05 to 14:15:10, 12 minutes.", "From 14:03:05 to 14:16:01, 13 minutes."),
        ("From 14:00:05 to 14:40:10, 40 minutes.", "From 14:00:05 to 14:39:01, 36 minutes."),
        ("From 14:00:05 to 14:01:55, 110 seconds.", "From 14:00:05 to 14:02:05, 2 minutes."),
    ],
)
def test_a_minute_or_a_tenth_that_memory_cannot_know_is_forgiven(true, told):
    assert is_right(_question(true), told)


@pytest.mark.parametrize(
    ("true", "told"),
    [
        ("Yes, at 14:05.", "Yes, at 14:07."),
        ("Yes, at 14:05.", "No, I saw no dog."),
        ("A red car at 14:05.", "A blue car at 14:05."),
        ("From 14:03:05 to 14:03:45, 40 seconds.", "From 14:03:05 to 14:03:45, 60 seconds."),
        ("From 14:03:05 to 14:03:45, 40 seconds.", "From 14:01:05 to 14:01:45, 40 seconds."),
        ("From 14:03:05 to 14:03:45, 40 seconds.", "40 seconds."),
        ("From 14:03:05 to 14:15:10, 12 minutes.", "From 14:03:05 to 14:15:10, 14 minutes."),
        ("From 14:03:05 to 14:15:10, 12 minutes.", "From 14:03:05 to 14:15:10, 12 seconds."),
        ("From 14:03:05 to 14:15:10, 12 minutes.", "From 14:03:05 to 14:15:10."),
        ("The gate is open.", "The gate is closed."),
        ("At 14:05, a 2nd at 14:27: twice.", "At 14:05, a 2nd at 14:27: 3 times."),
        ("At 14:05, a 2nd at 14:27: twice.", "At 14:05, a 2nd at 14:30: twice."),
        ("At 14:05, once.", "Once."),
        (
            "The car came at 14:05, the dog at 14:01: the dog was first.",
            "The car came at 14:05, the dog at 14:01: the car was first.",
        ),
        ("At 14:05.", "At 14:05. At 14:09."),
    ],
)
def test_nothing_else_is_forgiven(true, told):
    assert not is_right(_question(true), told)


def test_any_of_several_true_times_is_right():
    question = _question("Yes, at 14:05.", also_right=("Yes, at 13:20.",))
    assert is_right(question, "Yes, at 13:21.")
    assert not is_right(question, "Yes, at 13:40.")


def test_who_came_in_the_last_minute_may_be_told_in_any_order():
    question = _question("A red car and a person in blue.", "recent")
    assert is_right(question, "A person in blue and a red car.")
    assert not is_right(question, "A person in blue.")
    assert not is_right(question, "A person in blue, a red car and a red car.")
    assert not is_right(question, "A person in blue and a red car fly.")


def test_a_summary_is_scored_by_facts_found_and_facts_made_up():
    question = _question("A red car at 14:05, a person in blue at 14:10 and smoke at 14:20.", "summary")
    told = "A person in blue at 14:11, a red car at 14:05 and a green truck at 14:12."
    assert score_summary(question, told) == SummaryScore(num_true=3, num_found=2, num_made_up=1)
    assert score_summary(question, "A red car at 14:05 and a red car at 14:05.") == SummaryScore(3, 1, 1)
    assert score_summary(question, "A red car.") == SummaryScore(3, 0, 1)
    assert is_right(question, "Smoke at 14:20, a red car at 14:05 and a person in blue at 14:10.")
    assert not is_right(question, told)


def test_an_empty_span_has_no_facts_to_find_but_some_to_make_up():
    question = _question("Nothing came by.", "summary")
    assert is_right(question, "Nothing came by.")
    assert score_summary(question, "A red car at 14:05.") == SummaryScore(0, 0, 1)
    assert not is_right(question, "A red car at 14:05.")
