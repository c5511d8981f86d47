"""The change detector sees a person far away, a lamp and a gate; noise, light, masks and clocks in the picture do not
count."""

from collections.abc import Iterable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from streamer.change import GRAY_WIDTH, ChangeDetector
from streamer.yard.render import render
from streamer.yard.world import Thing, World, YardState

Pixels = NDArray[np.uint8]
NOON, NIGHT = 1.7636e9, 1.7636e9 + 12 * 3600


def street(width: int = 640, height: int = 360) -> Pixels:
    """Grey texture, uint8 [height, width]."""
    rng = np.random.default_rng(0)
    rough = cv2.GaussianBlur(rng.integers(0, 256, (height, width)).astype(np.float32), (0, 0), 5)
    return np.asarray(cv2.normalize(rough, None, 60, 180, cv2.NORM_MINMAX), np.uint8)  # type: ignore[call-overload]


def small(picture: Pixels) -> Pixels:
    """As a source gives it to the detector."""
    if picture.ndim == 3:
        picture = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)
    height = round(picture.shape[0] * GRAY_WIDTH / picture.shape[1])
    return np.asarray(cv2.resize(picture, (GRAY_WIDTH, height), interpolation=cv2.INTER_AREA), np.uint8)


def noisy(picture: Pixels, sigma: float, seed: int) -> Pixels:
    noise = np.random.default_rng(seed).normal(0, sigma, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def changes(detector: ChangeDetector, pictures: Iterable[Pixels], *, start: float = 0, fps: float = 2) -> list[bool]:
    """What a looker does: each change is kept."""
    judged = []
    for index, picture in enumerate(pictures):
        judged.append(detector.differs(small(picture), start + index / fps))
        if judged[-1]:
            detector.keep()
    return judged


def settled(picture: Pixels, *, sigma: float = 0.0, num_pictures: int = 20) -> ChangeDetector:
    detector = ChangeDetector()
    changes(detector, (noisy(picture, sigma, seed) for seed in range(num_pictures)))
    return detector


def test_the_first_picture_differs_and_the_same_again_does_not() -> None:
    assert changes(ChangeDetector(), [street()] * 50) == [True] + [False] * 49


@pytest.mark.parametrize("sigma", [2, 8, 16])
def test_sensor_noise_is_no_change(sigma: float) -> None:
    judged = changes(ChangeDetector(), (noisy(street(), sigma, seed) for seed in range(80)))

    assert sum(judged[20:]) == 0


@pytest.mark.parametrize("sigma", [0, 8])
@pytest.mark.parametrize("shift", range(4))
def test_a_person_at_the_far_side_is_seen_wherever_it_stands(sigma: float, shift: int) -> None:
    detector = settled(street(), sigma=sigma)
    after = street()
    after[100 + shift : 130 + shift, 300 + shift : 312 + shift] = 30  # 12 x 30, on a ground of about 120

    assert detector.differs(small(noisy(after, sigma, 1000)), 20)


def test_who_stands_still_is_no_news_and_who_left_is() -> None:
    empty, someone = street(), street()
    someone[100:130, 300:312] = 30

    judged = changes(ChangeDetector(), [empty] * 5 + [someone] * 100 + [empty] * 3)

    assert [index for index, change in enumerate(judged) if change] == [0, 5, 105]


def test_a_slow_move_is_seen_once_it_has_added_up() -> None:
    def stand(x: int) -> Pixels:
        picture = street()
        picture[100:130, x : x + 12] = 30
        return picture

    judged = changes(ChangeDetector(), [stand(300 + index // 4) for index in range(80)])  # half a pixel per second

    assert 2 <= sum(judged) <= 20


def test_light_that_drifts_is_no_change_and_light_that_is_switched_on_is() -> None:
    drifting = [np.clip(street() * (1 + index / 1000), 0, 255).astype(np.uint8) for index in range(20)]
    assert sum(changes(ChangeDetector(), drifting)) == 1

    detector = settled(street())
    assert detector.differs(small(cv2.add(street(), 40)), 20)  # type: ignore[arg-type]


def test_what_compression_does_to_a_still_scene_is_no_change() -> None:
    def squeezed(quality: int) -> Pixels:
        _, data = cv2.imencode(".jpg", street(), [cv2.IMWRITE_JPEG_QUALITY, quality])
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)

    assert sum(changes(ChangeDetector(), [squeezed(quality) for quality in (30, 60, 35, 80, 30, 25) * 5])) == 1


def test_a_masked_region_does_not_count() -> None:
    detector = ChangeDetector([[(0, 0), (0.5, 0), (0.5, 1), (0, 1)]])
    behind, beside = street(), street()
    behind[50:200, 50:250] = 0
    beside[50:200, 400:600] = 0

    assert changes(detector, [street(), behind, street(), beside]) == [True, False, False, True]


def test_a_mask_over_everything_leaves_no_change() -> None:
    detector = ChangeDetector([[(0, 0), (1, 0), (1, 1), (0, 1)]])

    assert changes(detector, [street(), np.zeros_like(street())]) == [True, False]


def test_a_clock_in_the_picture_is_learned_and_a_person_is_still_seen() -> None:
    def at(index: int, *, person: bool = False) -> Pixels:
        picture = street()
        cv2.putText(picture, f"12:34:{index // 2 % 60:02d}", (450, 30), cv2.FONT_HERSHEY_SIMPLEX, 0.7, 255, 2)
        if person:
            picture[200:230, 300:312] = 30
        return picture

    detector = ChangeDetector()
    judged = changes(detector, [at(index) for index in range(360)])

    assert sum(judged[240:]) <= 12, "at most the tens of seconds in the last minute"
    assert detector.differs(small(at(360, person=True)), 180)


def test_a_busy_street_is_not_learned_away() -> None:
    def at(index: int) -> Pixels:
        picture = street()
        picture[150:220, (37 * index) % 540 : (37 * index) % 540 + 100] = 20
        return picture

    assert all(changes(ChangeDetector(), [at(index) for index in range(200)]))


@pytest.mark.parametrize("now", [NOON, NIGHT])
def test_in_the_yard_a_lamp_a_gate_and_a_parcel_are_seen(now: float) -> None:
    def yard(*things: Thing, gate_open: bool = False, lamp_on: bool = False) -> Pixels:
        daylight = World(7).state_at(now).daylight
        return render(YardState(now, things, gate_open=gate_open, lamp_on=lamp_on, daylight=daylight))

    parcel = Thing("parcel", "brown", x=330, y=262, scale=0.5, facing=0, phase=0, looks=0)
    person = Thing("person", "black", x=420, y=240, scale=0.4, facing=1, phase=0, looks=0)
    for after in (yard(parcel), yard(person), yard(gate_open=True), yard(lamp_on=True)):
        detector = settled(yard())
        assert detector.differs(small(after), 20)
        detector.keep()
        assert detector.differs(small(yard()), 20.5), "and again when it is gone"


def test_another_size_is_a_change() -> None:
    assert changes(ChangeDetector(), [street(), street(640, 480), street(640, 480), street(64, 48)]) == [
        True,
        True,
        False,
        True,
    ]
