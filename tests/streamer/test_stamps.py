"""Stamps give each frame its time in the stream, whatever the file says."""

from fractions import Fraction

import av
import pytest

from streamer.stamps import Stamps

PTS_DTS = list[tuple[int | None, int | None]]


def seconds(stamps: PTS_DTS, *, has_pts: bool = True) -> list[float | None]:
    rule, found = Stamps(has_pts=has_pts), []
    for pts, dts in stamps:
        frame = av.VideoFrame(16, 16, "gray")
        frame.pts, frame.time_base = pts, Fraction(1, 10)
        frame.dts = dts
        found.append(rule.seconds_of(frame))
    return found


@pytest.mark.parametrize(
    ("stamps", "expected"),
    [
        ([(0, 0), (1, 1), (2, 2)], [0.0, 0.1, 0.2]),
        ([(0, -2), (1, -1), (2, 0)], [0.0, 0.1, 0.2]),
        ([(None, None), (1, 1), (2, 2)], [None, 0.1, 0.2]),
        ([(None, 0), (None, 1), (None, 2)], [0.0, 0.1, 0.2]),
        ([(0, None), (1, None), (2, None)], [0.0, 0.1, 0.2]),
        ([(1, 2), (3, 3), (2, 4), (5, 5), (4, 6)], [0.1, 0.3, 0.4, 0.5, 0.6]),
        ([(5, 5), (6, 6), (0, 0), (1, 1)], [0.5, 0.6, 0.0, 0.1]),
    ],
    ids=["both", "B-frames", "first without", "only dts", "only pts", "pts made up", "both jump back"],
)
def test_the_stamp_that_can_be_believed_counts(stamps: PTS_DTS, expected: list[float | None]) -> None:
    assert seconds(stamps) == [value if value is None else pytest.approx(value) for value in expected]


def test_a_container_without_presentation_stamps_goes_by_the_others() -> None:
    stamps: PTS_DTS = [(1, 2), (3, 3), (2, 4), (5, 5), (4, 6), (7, None)]

    assert seconds(stamps, has_pts=False) == [pytest.approx(each / 10) for each in (2, 3, 4, 5, 6, 7)]
