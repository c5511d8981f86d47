"""Advice names what to change, by what was seen, and never shows a password."""

from dataclasses import replace

import pytest

from streamer.advice import Seen, advise, sub_stream_of
from streamer.secret import SecretUrl

GOOD = Seen(
    url=SecretUrl.parse("rtsp://me:hunter2@192.0.2.10/stream2"),
    live=True,
    wanted_fps=2.0,
    codec="h264",
    decoder="h264",
    width=640,
    height=360,
    fps_announced=15.0,
    fps_measured=14.8,
    key_frame_seconds=2.0,
    lag_seconds=0.05,
    transport="tcp",
)


def test_a_good_stream_needs_no_advice() -> None:
    assert advise(GOOD) == ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"width": 3840, "height": 2160}, "this is a stream of 8 MP"),
        ({"width": 1920, "height": 1080}, "this is a stream of 2 MP"),
        ({"width": 1920, "height": 1080, "url": "rtsp://192.0.2.1/x"}, "see its manual or ONVIF"),
        ({"width": 1920, "height": 1080, "url": "rtsps://192.0.2.1:7441/aBcD?enableSrtp"}, "in UniFi Protect"),
        ({"codec": "hevc", "decoder": "hevc"}, "set this stream to H.264"),
        ({"codec": "av1", "decoder": "libdav1d"}, "AV1 is decoded by the CPU"),
        ({"key_frame_seconds": 10.0}, "only every 10 s"),
        ({"key_frame_seconds": 10.0}, "to 1 to 2 s (15 to 30 frames)"),
        ({"key_frame_seconds": 6.0, "is_key_frame_bound": True}, "only every 6 s or more"),
        ({"fps_measured": 7.0}, "15 frames per second are announced and 7.0 come: a dark scene"),
        ({"fps_announced": 5.0}, "announces it wrongly"),
        ({"fps_measured": 1.0, "fps_announced": 1.0}, "2 are wanted"),
        ({"fps_measured": 30.0, "fps_announced": 30.0}, "10 to 15 cost less"),
        ({"lag_seconds": 2.5}, "pictures come 2.5 s late"),
        ({"num_corrupt": 7}, "7 pictures were damaged"),
        ({"num_corrupt": 7, "transport": "udp"}, "write transport: tcp"),
    ],
)
def test_what_is_not_good_is_told(changes: dict[str, object], words: str) -> None:
    if isinstance(url := changes.get("url"), str):
        changes = {**changes, "url": SecretUrl.parse(url)}

    found = advise(replace(GOOD, **changes))

    assert len(found) == 1
    assert words in found[0]
    assert "hunter2" not in found[0]
    assert "\n" not in found[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"live": False, "width": 3840, "height": 2160},
        {"url": SecretUrl.parse("/dev/video0"), "width": 3840, "height": 2160},
        {"codec": "hevc", "decoder": "hevc on cuda"},
        {"key_frame_seconds": None},
        {"key_frame_seconds": 4.0},
        {"fps_measured": None},
        {"fps_announced": None},
        {"fps_announced": 90_000.0},
        {"fps_measured": 25.0, "fps_announced": 25.0, "wanted_fps": 15.0},
        {"width": 1280, "height": 720},
    ],
)
def test_what_is_good_enough_is_not_talked_about(changes: dict[str, object]) -> None:
    assert advise(replace(GOOD, **changes)) == ()


def test_several_faults_are_told_in_order() -> None:
    found = advise(replace(GOOD, width=3840, height=2160, codec="hevc", decoder="hevc", key_frame_seconds=8.0))

    assert [words in advice for words, advice in zip(("8 MP", "H.265", "key frame"), found, strict=True)] == [True] * 3


@pytest.mark.parametrize(
    ("main", "vendor", "sub"),
    [
        ("rtsp://192.0.2.1/h264Preview_01_main", "Reolink", "rtsp://192.0.2.1/h264Preview_01_sub"),
        ("rtsp://192.0.2.1:554/h265Preview_03_main", "Reolink", "rtsp://192.0.2.1:554/h264Preview_03_sub"),
        ("rtsp://192.0.2.1/Preview_02_main", "Reolink", "rtsp://192.0.2.1/Preview_02_sub"),
        (
            "http://192.0.2.1/flv?port=1935&app=bcs&stream=channel0_main.bcs&user=me&password=hunter2",
            "Reolink",
            "http://192.0.2.1/flv?port=1935&app=bcs&stream=channel0_sub.bcs&user=***&password=***",
        ),
        ("rtsp://192.0.2.1/Streaming/Channels/101", "Hikvision", "rtsp://192.0.2.1/Streaming/Channels/102"),
        ("rtsp://192.0.2.1/Streaming/Channels/1601?x=1", "Hikvision", "rtsp://192.0.2.1/Streaming/Channels/1602?x=1"),
        ("rtsp://192.0.2.1/ISAPI/Streaming/channels/101", "Hikvision", "rtsp://192.0.2.1/ISAPI/Streaming/channels/102"),
        ("rtsp://192.0.2.1/h265/ch1/main/av_stream", "Hikvision or Ezviz", "rtsp://192.0.2.1/h264/ch1/sub/av_stream"),
        (
            "rtsp://192.0.2.1/cam/realmonitor?channel=1&subtype=0",
            "Dahua or Amcrest",
            "rtsp://192.0.2.1/cam/realmonitor?channel=1&subtype=1",
        ),
        ("rtsp://192.0.2.1/unicast/c1/s0/live", "Uniview", "rtsp://192.0.2.1/unicast/c1/s1/live"),
        ("rtsp://192.0.2.1/media/video1", "Uniview", "rtsp://192.0.2.1/media/video2"),
        ("rtsp://192.0.2.1:88/videoMain", "Foscam", "rtsp://192.0.2.1:88/videoSub"),
        ("rtsp://192.0.2.1/av_stream/ch0", "Sonoff", "rtsp://192.0.2.1/av_stream/ch1"),
        ("rtsp://192.0.2.1/stream1", "Tapo and others", "rtsp://192.0.2.1/stream2"),
        ("rtsp://192.0.2.1/live/main", "", "rtsp://192.0.2.1/live/sub"),
        (
            "rtsp://192.0.2.1/axis-media/media.amp?videocodec=h264",
            "Axis",
            "rtsp://192.0.2.1/axis-media/media.amp?videocodec=h264&resolution=640x360",
        ),
        ("rtsp://192.0.2.1/axis-media/media.amp", "Axis", "rtsp://192.0.2.1/axis-media/media.amp?resolution=640x360"),
    ],
)
def test_the_sub_stream_of_known_vendors_is_named(main: str, vendor: str, sub: str) -> None:
    assert sub_stream_of(SecretUrl.parse(main)) == (vendor, sub)


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://192.0.2.1/Streaming/Channels/102",
        "rtsp://192.0.2.1/cam/realmonitor?channel=1&subtype=1",
        "rtsp://192.0.2.1/h264Preview_01_sub",
        "rtsp://192.0.2.1/stream2",
        "rtsp://192.0.2.1/stream10",
        "rtsp://192.0.2.1/axis-media/media.amp?resolution=640x360",
        "rtsp://192.0.2.1/",
        "demo://yard",
        "/videos/main",
    ],
)
def test_no_sub_stream_is_made_up(url: str) -> None:
    assert sub_stream_of(SecretUrl.parse(url)) is None


def test_the_password_is_hidden_in_the_address_that_is_advised() -> None:
    found = sub_stream_of(SecretUrl.parse("rtsp://me:hunter2@192.0.2.1/h264Preview_01_main"))

    assert found == ("Reolink", "rtsp://***@192.0.2.1/h264Preview_01_sub")
