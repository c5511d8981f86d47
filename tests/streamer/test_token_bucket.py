"""So many in a minute and no more."""

import pytest

from streamer import token_bucket
from streamer.token_bucket import TokenBucket


def test_so_many_at_once_and_then_one_by_one(monkeypatch):
    now = 1000.0
    monkeypatch.setattr(token_bucket.time, "monotonic", lambda: now)
    bucket = TokenBucket(30)
    assert [bucket.take() for _ in range(31)] == [True] * 30 + [False]
    now += 1.9
    assert not bucket.take()
    now += 0.2
    assert bucket.take()
    assert not bucket.take()
    now += 3600
    assert sum(bucket.take() for _ in range(100)) == 30


def test_none_at_all_fails():
    with pytest.raises(ValueError, match="positive"):
        TokenBucket(0)
