"""The hour's budget of a remote model: a hard cap over any hour, and a share that notes leave to questions."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm.budget import HOUR_SECONDS, Budget, Limits
from llm.errors import BudgetError


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def _budget(calls: int = 4, tokens: int = 1000) -> tuple[Budget, Clock]:
    clock = Clock()
    return Budget(Limits(calls, tokens), clock=clock), clock


def test_the_call_after_the_last_one_is_refused_until_the_first_is_an_hour_old() -> None:
    budget, clock = _budget(calls=3)
    for _ in range(3):
        budget.reserve(tokens=10)
        clock.seconds += 60
    with pytest.raises(BudgetError, match=r"budget of 3 calls is used up; ask again in 57 min") as caught:
        budget.reserve(tokens=10)
    assert caught.value.wait_seconds == pytest.approx(HOUR_SECONDS - 180)
    assert (budget.num_calls, budget.num_refused, budget.calls_last_hour) == (3, 1, 3)
    clock.seconds += caught.value.wait_seconds
    budget.reserve(tokens=10)
    assert (budget.num_calls, budget.calls_last_hour) == (4, 3)


def test_tokens_are_capped_by_what_calls_did_cost() -> None:
    budget, clock = _budget(calls=100)
    budget.settle(budget.reserve(tokens=900), tokens=300)
    clock.seconds += 100
    budget.settle(budget.reserve(tokens=600), tokens=600)
    assert (budget.tokens_last_hour, budget.num_tokens) == (900, 900)
    with pytest.raises(BudgetError, match=r"1,000 tokens is used up; ask again in 58 min, .*tokens_per_hour"):
        budget.reserve(tokens=200)
    budget.reserve(tokens=100)


def test_a_question_that_never_fits_is_told_so() -> None:
    budget, _ = _budget(tokens=1000)
    with pytest.raises(BudgetError, match=r"more than an hour's budget of 1,000 tokens; raise model_budget"):
        budget.reserve(tokens=1001)


def test_a_call_that_never_reached_the_server_costs_nothing() -> None:
    budget, _ = _budget(calls=1)
    budget.release(budget.reserve(tokens=500))
    assert (budget.num_calls, budget.num_tokens, budget.calls_last_hour) == (0, 0, 0)
    budget.reserve(tokens=500)


def test_notes_take_half_at_most_and_are_spread_over_the_hour() -> None:
    budget, clock = _budget(calls=8)
    noted = 0
    for _ in range(7200):
        clock.seconds += 1
        try:
            budget.settle(budget.reserve(tokens=10, is_note=True), tokens=10)
            noted += 1
        except BudgetError:
            continue
        assert sum(spent.is_note for spent in budget._window) <= 4
    assert noted == 8
    assert budget.num_refused == 0
    for _ in range(4):
        budget.reserve(tokens=10)


def test_notes_leave_half_of_the_tokens() -> None:
    budget, clock = _budget(calls=1000, tokens=1000)
    for _ in range(5):
        budget.reserve(tokens=100, is_note=True)
        clock.seconds += 60
    with pytest.raises(BudgetError):
        budget.reserve(tokens=100, is_note=True)
    budget.reserve(tokens=500)


def test_a_budget_of_one_call_writes_no_notes() -> None:
    budget, _ = _budget(calls=1)
    with pytest.raises(BudgetError):
        budget.reserve(tokens=1, is_note=True)
    budget.reserve(tokens=1)


@given(st.lists(st.tuples(st.floats(0, 2000), st.integers(1, 400), st.booleans()), max_size=60))
def test_no_hour_ever_holds_more_than_the_limits(calls: list[tuple[float, int, bool]]) -> None:
    budget, clock = _budget(calls=5, tokens=1000)
    sent: list[tuple[float, int]] = []
    for pause_seconds, tokens, is_note in calls:
        clock.seconds += pause_seconds
        with suppress(BudgetError):
            budget.reserve(tokens=tokens, is_note=is_note)
            sent.append((clock.seconds, tokens))
        within = [spent for at, spent in sent if at > clock.seconds - HOUR_SECONDS]
        assert len(within) <= 5
        assert sum(within) <= 1000


def test_limits_below_one_fail() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Limits(calls_per_hour=0)
