"""Packets become pictures; while a scene is still only key frames do, and what is given is always what was sent."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from streamer import kept_packets
from streamer.decoding import PacketDecoder
from streamer.secret import SecretUrl
from streamer.source import SourceCounts

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
WIDTH, HEIGHT, RATE, GROUP = 192, 108, 10, 20
NUM_PICTURES, MOVES = 140, range(88, 120)
CODECS = {
    "H.264": ("libx264", "x264-params", "bframes=0"),
    "H.264 with B-frames": ("libx264", "x264-params", "bframes=3:open-gop=0"),
    "H.264 with open groups": ("libx264", "x264-params", "bframes=3:open-gop=1"),
    "H.265": ("libx265", "x265-params", "bframes=0:open-gop=0"),
    "H.265 with open groups": ("libx265", "x265-params", "bframes=3:open-gop=1"),
}


def scene(index: int) -> Pixels:
    """Noise on a street; something crosses it while it MOVES."""
    rng = np.random.default_rng(0)
    street = cv2.GaussianBlur(rng.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.float32), (0, 0), 4)
    pixels = cv2.normalize(street, None, 60, 180, cv2.NORM_MINMAX)  # type: ignore[call-overload]
    pixels += np.random.default_rng(index).integers(-1, 2, (HEIGHT, WIDTH, 1))
    if index in MOVES:
        left = 5 * (index - MOVES.start)
        pixels[30:80, left : left + 25] = (np.random.default_rng(7).integers(0, 256, (50, 25, 3)) + index) % 256
    return np.clip(pixels, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module", params=CODECS.values(), ids=CODECS)
def clip(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    codec, key, more = request.param
    path = tmp_path_factory.mktemp("clips") / f"{codec}.mp4"
    quiet = ":log-level=none" if codec == "libx265" else ""
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {key: f"keyint={GROUP}:min-keyint={GROUP}:scenecut=0:{more}{quiet}"}
        for index in range(NUM_PICTURES):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(scene(index), format="rgb24")))
        container.mux(stream.encode(None))
    return path


@dataclass
class Seen:
    """What a decoder gave of a clip: (number of the picture, its pixels, whether it was catching up)."""

    counts: SourceCounts = field(default_factory=SourceCounts)
    pictures: list[tuple[int, bytes, bool]] = field(default_factory=list)
    is_skipping: list[bool] = field(default_factory=list)

    @property
    def numbers(self) -> list[int]:
        return [number for number, _, _ in self.pictures]

    @property
    def caught_up(self) -> list[int]:
        return [number for number, _, is_catching_up in self.pictures if is_catching_up]


def watch(path: Path, wish: Callable[[int], bool] = lambda _: False) -> Seen:
    """Decodes a clip; `wish` says for each packet whether key frames are enough."""
    seen = Seen()
    decoder = PacketDecoder(SecretUrl.parse(str(path)), counts=seen.counts)
    with av.open(path) as container:
        for index, packet in enumerate(container.demux(video=0)):
            decoder.key_frames_only = wish(index)
            for frame in decoder.decode(packet):
                assert frame.time is not None
                number = round(frame.time * RATE)
                seen.pictures.append((number, frame.to_ndarray().tobytes(), decoder.is_catching_up))
            seen.is_skipping.append(decoder.is_skipping)
    assert not decoder.is_catching_up
    return seen


@pytest.fixture(scope="module")
def truth(clip: Path) -> dict[int, bytes]:
    with av.open(clip) as container:
        return {round(frame.time * RATE): frame.to_ndarray().tobytes() for frame in container.decode(video=0)}


def check_pictures(seen: Seen, truth: dict[int, bytes]) -> None:
    """Each is bit for bit what a full decode gives, in order, once, none damaged."""
    assert [truth[number] == pixels for number, pixels, _ in seen.pictures] == [True] * len(seen.pictures)
    assert seen.numbers == sorted(set(seen.numbers))
    assert seen.counts.num_corrupt == 0


def test_without_the_wish_every_picture_is_given(clip: Path, truth: dict[int, bytes]) -> None:
    seen = watch(clip)

    check_pictures(seen, truth)
    assert seen.numbers == list(range(NUM_PICTURES))
    assert seen.counts.num_skipped == 0
    assert not any(seen.is_skipping)


def test_while_the_scene_is_still_only_key_frames_are_decoded(clip: Path, truth: dict[int, bytes]) -> None:
    seen = watch(clip, lambda index: index < 80)

    check_pictures(seen, truth)
    assert len([number for number in seen.numbers if 45 <= number < 76]) == 1, "a key frame every 2 s"
    assert seen.counts.num_skipped > 15
    assert any(seen.is_skipping)
    assert set(range(85, NUM_PICTURES)) <= set(seen.numbers)


def test_what_moves_is_caught_up_with_from_the_key_frame_on(clip: Path, truth: dict[int, bytes]) -> None:
    seen = watch(clip, lambda index: index < MOVES.start + 8)

    check_pictures(seen, truth)
    assert seen.is_skipping[MOVES.start - 5]
    assert not seen.is_skipping[MOVES.start + 4], "the sizes told, within half a second"
    assert set(range(82, NUM_PICTURES)) <= set(seen.numbers), "nothing of it was missed"
    assert set(seen.caught_up) <= set(range(80, MOVES.start + 4)), "what was kept, since the key frame"
    assert seen.caught_up


def test_a_wish_taken_back_is_followed_at_the_next_packet(clip: Path, truth: dict[int, bytes]) -> None:
    seen = watch(clip, lambda index: index < 70)

    check_pictures(seen, truth)
    assert seen.is_skipping[69]
    assert not seen.is_skipping[70]
    assert set(range(68, NUM_PICTURES)) <= set(seen.numbers)
    assert seen.caught_up, "what was kept since the key frame is given, too"


def test_every_packet_is_decoded_or_counted_as_skipped(clip: Path) -> None:
    seen = watch(clip, lambda index: 10 < index < 80)

    leading_pictures = 3  # of an open group; they need the group before
    assert 0 <= NUM_PICTURES - len(seen.numbers) - seen.counts.num_skipped <= leading_pictures


def test_a_wish_that_comes_and_goes_changes_no_picture(clip: Path, truth: dict[int, bytes]) -> None:
    seen = watch(clip, lambda index: index % 47 < 44)

    check_pictures(seen, truth)


def test_a_group_too_long_to_be_kept_is_decoded_whole(
    clip: Path, truth: dict[int, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_packets, "MAX_KEPT_PACKETS", GROUP - 4)
    seen = watch(clip, lambda _: True)

    check_pictures(seen, truth)
    assert seen.numbers == list(range(NUM_PICTURES))
    assert not any(seen.is_skipping)


def test_when_groups_grow_too_long_while_kept_all_are_decoded_at_once(
    clip: Path, truth: dict[int, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def wish(index: int) -> bool:
        monkeypatch.setattr(kept_packets, "MAX_KEPT_PACKETS", 300 if index < 65 else 10)
        return True

    seen = watch(clip, wish)

    check_pictures(seen, truth)
    assert seen.is_skipping[64]
    assert not any(seen.is_skipping[72:])
    assert set(range(63, NUM_PICTURES)) <= set(seen.numbers)


def test_a_stream_of_key_frames_only_is_decoded_whole(tmp_path: Path) -> None:
    path = tmp_path / "all.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("mjpeg", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
        for index in range(30):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(scene(index), format="rgb24")))
        container.mux(stream.encode(None))

    seen = watch(path, lambda _: True)

    assert seen.numbers == list(range(30))
    assert not any(seen.is_skipping)


def test_a_damaged_packet_costs_no_more_than_its_group(clip: Path) -> None:
    decoder = PacketDecoder(SecretUrl.parse(str(clip)), counts=SourceCounts())
    numbers = []
    with av.open(clip) as container:
        for index, packet in enumerate(container.demux(video=0)):
            decoder.key_frames_only = index < 70
            sent = damaged(packet) if index == 66 else packet
            numbers += [round(frame.time * RATE) for frame in decoder.decode(sent) if frame.time is not None]

    assert {number for number in range(NUM_PICTURES) if number >= 80} <= set(numbers)
    assert numbers == sorted(set(numbers))


def damaged(packet: Any) -> Any:
    """The second half of its bytes is zero."""
    data = bytes(packet)
    broken = av.Packet(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))
    broken.stream, broken.time_base = packet.stream, packet.time_base
    broken.pts, broken.dts = packet.pts, packet.dts
    return broken
