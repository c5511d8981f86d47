"""RTSP over TCP or UDP: "auto" finds the one that gives pictures, whatever becomes of the other."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from streamer.av_source import AvSource
from streamer.capture import Camera
from streamer.check import check_camera
from streamer.errors import CameraError
from streamer.patience import Patience
from streamer.source import SourceCounts, open_source
from tests.rig.streams import HttpServer, TransportProxy
from tests.streamer.watching import Servers, holds, settings, take, until

pytestmark = pytest.mark.rtsp

QUICK = Patience(open=1.5, read=1.5, first_pause=0.1, longest_pause=0.2)
Spoil = Callable[..., TransportProxy]


@pytest.fixture
def spoil(serve: Servers, clip: Path) -> Iterator[Spoil]:
    """`spoil(tcp="400 Bad Request")` is a camera with that fault; its address is /live."""
    proxies: list[TransportProxy] = []

    def start(**spoils: str) -> TransportProxy:
        proxies.append(TransportProxy(serve({"live": clip}, own_feeds=True).port, spoils=spoils))
        return proxies[-1]

    yield start
    for proxy in proxies:
        proxy.close()


def url(camera: TransportProxy) -> str:
    return f"rtsp://127.0.0.1:{camera.port}/live"


@pytest.mark.parametrize("status", ["400 Bad Request", "500 Internal Server Error", "461 Unsupported Transport"])
async def test_where_tcp_is_refused_udp_is_tried_at_once(spoil: Spoil, status: str) -> None:
    refusing, arrived = spoil(tcp=status), asyncio.Event()

    async with Camera(settings(url(refusing)), arrived=arrived, patience=QUICK) as camera:
        assert await take(camera, arrived, 1)
        assert camera.counts.transport == "udp"
        assert camera.num_reconnects == 0

        refusing.hang_up()
        await until(camera, "offline")
        await until(camera, "live")
    assert refusing.tried == ["tcp", "udp", "udp"], "what worked is tried first"


async def test_a_check_finds_the_transport_that_works(spoil: Spoil) -> None:
    report = await check_camera(settings(url(spoil(tcp="400 Bad Request"))))

    assert report.ok
    assert report.transport == "udp"


async def test_a_camera_that_still_holds_its_only_place_for_the_first_try_is_asked_again(spoil: Spoil) -> None:
    camera = spoil(tcp="400 Bad Request", udp="once 503 Service Unavailable")

    report = await check_camera(settings(url(camera)))

    assert report.ok
    assert camera.tried == ["tcp", "udp", "udp"]


async def test_a_camera_that_serves_nobody_is_not_asked_for_ever(spoil: Spoil) -> None:
    camera = spoil(tcp="503 Service Unavailable", udp="503 Service Unavailable")

    report = await check_camera(settings(url(camera)))

    assert report.error is not None
    assert report.error.code == "refused"
    assert camera.tried == ["tcp", "udp", "udp"]


@pytest.mark.parametrize("isolation", ["thread", "process"])
async def test_where_tcp_is_accepted_but_silent_udp_is_tried_next(spoil: Spoil, isolation: str) -> None:
    silent, arrived = spoil(tcp="silent"), asyncio.Event()

    async with Camera(settings(url(silent), isolation=isolation), arrived=arrived, patience=QUICK) as camera:
        await until(camera, "offline")
        assert camera.state.error is not None
        assert camera.state.error.code == "timeout"
        assert await take(camera, arrived, 1)
        await holds(lambda: camera.counts.transport == "udp")
    assert silent.tried == ["tcp", "udp"]


@pytest.mark.parametrize("isolation", ["thread", "process"])
async def test_where_udp_worked_and_is_silent_now_tcp_is_tried_next(spoil: Spoil, isolation: str) -> None:
    changing, arrived = spoil(tcp="400 Bad Request"), asyncio.Event()

    async with Camera(settings(url(changing), isolation=isolation), arrived=arrived, patience=QUICK) as camera:
        assert await take(camera, arrived, 1)
        await holds(lambda: camera.counts.transport == "udp")

        changing.spoils = {"udp": "silent"}
        changing.hang_up()
        await until(camera, "offline")
        await until(camera, "live")
        await holds(lambda: camera.counts.transport == "tcp")
    assert changing.tried == ["tcp", "udp", "udp", "tcp"]


async def test_what_never_gave_a_picture_is_not_remembered(spoil: Spoil) -> None:
    silent = spoil(tcp="silent", udp="silent")

    async with Camera(settings(url(silent)), arrived=asyncio.Event(), patience=QUICK):
        await holds(lambda: len(silent.tried) >= 3, within_seconds=30)
    assert silent.tried[:3] == ["tcp", "udp", "tcp"]


async def test_a_transport_asked_for_by_name_is_kept(spoil: Spoil) -> None:
    silent = spoil(tcp="silent")

    async with Camera(settings(url(silent), transport="tcp"), arrived=asyncio.Event(), patience=QUICK):
        await holds(lambda: len(silent.tried) >= 2)
    assert set(silent.tried) == {"tcp"}


async def test_a_wrong_path_says_nothing_about_the_transport(spoil: Spoil) -> None:
    working, arrived = spoil(), asyncio.Event()

    async with Camera(settings(url(working) + "/none"), arrived=arrived, patience=QUICK) as camera:
        await until(camera, "offline")
        assert camera.state.error is not None
        assert camera.state.error.code == "not_found"
        assert camera.counts.transport is None


@pytest.mark.parametrize(("used", "next_one"), [("tcp", "udp"), ("udp", "tcp")])
def test_where_packets_come_but_no_picture_the_other_is_tried_next(
    pictureless: bytes, used: str, next_one: str
) -> None:
    def body() -> Iterator[bytes]:
        yield pictureless
        time.sleep(2)
        yield b""

    server, counts = HttpServer({"/ts": body}), SourceCounts(transport=used)
    try:
        with open_source(
            settings(server.url("/ts")), quit=threading.Event(), counts=counts, read_timeout_seconds=QUICK.read
        ) as source:
            assert isinstance(source, AvSource)
            source.info = replace(source.info, transport=used)  # as if it were RTSP
            with pytest.raises(CameraError, match="stopped sending"):
                list(source)
    finally:
        server.close()
    assert counts.transport == next_one
