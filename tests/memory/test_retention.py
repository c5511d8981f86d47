"""What is too old or too much goes, the right one first, and the file shrinks."""

from dataclasses import replace

import pytest

from memory import Archive, EncoderKind, Moment, QuantisedTokens, Retention
from memory.retention import LEAST_BYTES
from tests.memory.moments import ENCODER, START, moment

ALL = {"most": 100_000, "until_seconds": float("inf")}


def test_what_is_too_old_goes(tmp_path):
    with Archive(tmp_path, encoder=ENCODER, retention=Retention(keep_seconds=100)) as archive:
        written = [moment(number) for number in range(100)]
        archive.add("yard", written, now_seconds=written[-1].end_seconds)
        kept = list(archive.newest("yard", **ALL))
        assert kept[0].end_seconds >= written[-1].end_seconds - 100
        assert len(kept) == pytest.approx(100 / 4.5, abs=1)


def test_a_camera_may_be_kept_shorter_or_longer_than_the_others(tmp_path):
    retention = Retention(keep_seconds=100, camera_seconds={"door": 30, "street": 300})
    with Archive(tmp_path, encoder=ENCODER, retention=retention) as archive:
        for number in range(100):
            for camera in ("door", "yard", "street"):
                archive.add(camera, [moment(number)], now_seconds=moment(number).end_seconds)
        for camera, seconds in (("door", 30), ("yard", 100), ("street", 300)):
            assert len(list(archive.newest(camera, **ALL))) == pytest.approx(seconds / 4.5, abs=1)


def test_tokens_are_at_most_half_and_their_pictures_stay(tmp_path):
    encoder = EncoderKind("large", 64, 2048)

    def large(number: int) -> Moment:
        plain = moment(number, picture=bytes(2_000))
        levels = plain.tokens.levels.repeat(16, axis=0).repeat(256, axis=1)
        return replace(plain, tokens=QuantisedTokens(levels, plain.tokens.scales.repeat(16)))

    with Archive(tmp_path, encoder=encoder, retention=Retention(keep_bytes=LEAST_BYTES)) as archive:
        for number in range(400):
            archive.add("yard", [large(number)], now_seconds=START)
        kept = list(archive.newest("yard", **ALL))
        with_tokens = [each for each in kept if each.tokens is not None]
        assert len(kept) == 400
        assert LEAST_BYTES / 2 - 300_000 <= len(with_tokens) * large(0).tokens.nbytes <= LEAST_BYTES / 2
        assert kept[-len(with_tokens) :] == with_tokens
        assert all(archive.picture(each.moment_id) for each in kept)


def test_one_camera_has_a_bound_of_its_own(tmp_path):
    retention = Retention(per_camera_bytes=1_000_000)
    with Archive(tmp_path, encoder=ENCODER, retention=retention) as archive:
        for number in range(60):
            archive.add("busy", [moment(number, picture=bytes(50_000))], now_seconds=START)
            archive.add("quiet", [moment(number, picture=bytes(50), scene=1)], now_seconds=START)
        (quiet,) = archive.newest("quiet", **ALL)
        assert quiet.weight == 60 * 9
        assert 15 <= len(list(archive.newest("busy", **ALL))) <= 19


def test_the_file_shrinks_where_less_is_kept(tmp_path):
    with Archive(tmp_path, encoder=ENCODER) as archive:
        for number in range(0, 500, 20):
            archive.add("yard", [moment(number + k, picture=bytes(40_000)) for k in range(20)], now_seconds=START)
    large = (tmp_path / "archive.db").stat().st_size
    assert large > 20e6
    with Archive(tmp_path, encoder=ENCODER, retention=Retention(keep_seconds=500)) as archive:
        for number in range(500, 600):
            archive.add("yard", [moment(number)], now_seconds=moment(number).end_seconds)
    assert (tmp_path / "archive.db").stat().st_size < 0.2 * large


def test_limits_that_keep_nothing_fail():
    with pytest.raises(ValueError, match="limits above 0"):
        Retention(keep_seconds=0)
    with pytest.raises(ValueError, match="limits above 0"):
        Retention(camera_seconds={"door": 0.0})
    with pytest.raises(ValueError, match="at least"):
        Retention(keep_bytes=1000)
