"""The looker turns pictures into frames: new ones with pixels, still ones without, and gaps told."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from streamer.frame import Frame
from streamer.look import Looker
from streamer.sampling import Sampler
from streamer.source import SourceCounts


class Scene:
    """A picture of one grey level, with a bright thing in it or not; it tells whether its colours were asked for."""

    def __init__(self, time_seconds: float, *, thing: bool = False) -> None:
        self.time_seconds = time_seconds
        self.pts_seconds: float | None = None
        self.was_converted = False
        self._thing = thing

    def rgb(self) -> NDArray[np.uint8]:
        self.was_converted = True
        return np.repeat(self._draw(4)[:, :, None], 3, axis=2)

    def gray(self, width: int) -> NDArray[np.uint8]:
        return self._draw(width // 160)

    def _draw(self, scale: int) -> NDArray[np.uint8]:
        pixels = np.full((90 * scale, 160 * scale), 100, np.uint8)
        if self._thing:
            pixels[40 * scale : 50 * scale, 70 * scale : 80 * scale] = 200
        return pixels


def looker(*, fps: float = 2, masks: Sequence[Sequence[tuple[float, float]]] = (), **more: object) -> Looker:
    sampler = Sampler(fps, masks)
    return Looker(camera="c", sampler=sampler, counts=SourceCounts(), stale_after_seconds=10, **more)  # type: ignore[arg-type]


def look(eye: Looker, *scenes: Scene) -> list[Frame | None]:
    return [eye.frame_of(scene) if eye.accepts(scene.time_seconds) else None for scene in scenes]


def row(frames: Sequence[Frame | None]) -> str:
    """P: pixels, s: still, dot: no frame."""
    return "".join("." if frame is None else "s" if frame.is_still else "P" for frame in frames)


def test_a_still_scene_is_not_converted_but_for_a_heartbeat() -> None:
    scenes = [Scene(1000 + index / 2) for index in range(50)]

    frames = look(looker(), *scenes)

    assert row(frames) == ("P" + 19 * "s") * 2 + "P" + 9 * "s"
    assert [scene.was_converted for scene in scenes] == [frame is not None and not frame.is_still for frame in frames]


def test_what_changes_is_converted_at_once_and_only_then() -> None:
    scenes = [Scene(1000 + index / 2, thing=index in (4, 5, 6, 9)) for index in range(12)]

    assert row(look(looker(), *scenes)) == "PsssPssPsPPs"


def test_pictures_between_two_samples_are_not_even_looked_at() -> None:
    frames = look(looker(fps=1), *(Scene(1000 + index / 2, thing=index % 2 == 1) for index in range(8)))

    assert row(frames) == "P.s.s.s."


def test_every_sampled_picture_is_counted_and_numbered_still_or_not() -> None:
    eye = looker()

    frames = look(eye, *(Scene(1000 + index / 2) for index in range(8)))

    assert [frame.index for frame in frames if frame] == list(range(8))
    assert (eye.num_sampled, eye.seen.num_events) == (8, 8)


def test_without_the_detector_every_sampled_picture_has_pixels() -> None:
    eye = looker(skip_still=False)

    assert row(look(eye, *(Scene(1000 + index / 2) for index in range(40)))) == 40 * "P"
    assert not eye.wants_key_frames_only


def test_what_is_behind_a_mask_is_no_change_and_black() -> None:
    behind = [[(0.4, 0.4), (0.6, 0.4), (0.6, 0.6), (0.4, 0.6)]]

    frames = look(looker(masks=behind), *(Scene(1000 + index / 2, thing=index > 1) for index in range(5)))

    assert row(frames) == "Pssss"
    assert frames[0] is not None
    assert not frames[0].pixels[150:200, 290:310].any()


def test_after_a_gap_a_frame_has_pixels_whatever_it_shows() -> None:
    eye = looker()
    frames = look(eye, *(Scene(seconds) for seconds in (1000, 1000.5, 1001, 1020, 1020.5)))
    eye.lose()
    frames += look(eye, Scene(1021), Scene(1021.5))

    assert row(frames) == "PssPsPs"
    gaps = [frame.gap_start_seconds for frame in frames if frame and frame.gap_before]
    assert gaps == [1001, 1020.5]


def test_key_frames_are_enough_after_some_seconds_without_a_change() -> None:
    eye = looker()
    wishes = []
    for index in range(50):
        look(eye, Scene(1000 + index / 2, thing=index == 40))
        wishes.append(eye.wants_key_frames_only)

    assert wishes == [index in range(10, 40) for index in range(50)]
    eye.lose()
    assert not eye.wants_key_frames_only


def test_a_heartbeat_does_not_end_the_stillness() -> None:
    eye = looker()
    frames = look(eye, *(Scene(1000 + index / 2) for index in range(60)))

    assert row(frames)[20] == "P"
    assert eye.wants_key_frames_only


@pytest.mark.parametrize("skip_still", [True, False])
def test_key_frames_that_come_seconds_apart_are_no_gap_while_the_scene_is_still(skip_still: bool) -> None:
    eye = Looker(camera="c", sampler=Sampler(2), counts=SourceCounts(), stale_after_seconds=3, skip_still=skip_still)
    frames = look(eye, *(Scene(1000 + index / 2) for index in range(20)))
    frames += look(eye, *(Scene(1010 + 4 * index) for index in range(1, 4)))

    assert any(frame.gap_before for frame in frames if frame) == (not skip_still)


def test_a_picture_that_is_not_newer_is_late() -> None:
    counts = SourceCounts()
    eye = Looker(camera="c", sampler=Sampler(2), counts=counts, stale_after_seconds=10)

    assert row(look(eye, Scene(1000), Scene(1000), Scene(999), Scene(1001))) == "P..s"
    assert counts.num_late == 2


def test_a_looker_that_follows_another_goes_on_after_a_gap_with_its_count() -> None:
    before, eye = looker(fps=2), looker(fps=2)
    old = look(before, *(Scene(1000 + index) for index in range(3)))
    eye.follow(before)
    new = look(eye, Scene(1001.5), Scene(1003), Scene(1004))

    assert [frame.index for frame in [*old, *new] if frame] == [0, 1, 2, 3, 4]
    assert new[0] is None, "older than what was seen"
    assert new[1] is not None
    assert (new[1].gap_start_seconds, new[1].is_still) == (1002, False)
    assert eye.seen.num_events == 5
