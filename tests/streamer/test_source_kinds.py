"""Kinds of cameras on the network, each from a real server: TCP, UDP, TLS, HLS, MPEG-TS; tricks of hostile ones."""

import asyncio
import itertools
import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from streamer.capture import Camera
from streamer.errors import CameraError
from streamer.hardware import _tell_once, works_here
from streamer.patience import Patience
from tests.conftest import skip_or_fail
from tests.rig.clips import number_in
from tests.rig.servers import MjpegServer, SilentServer, free_port
from tests.rig.streams import HttpServer, LivePlaylist, TlsProxy, in_real_time
from tests.streamer.watching import FPS, Servers, counting_clip, settings, take, until

QUICK = Patience(open=2, read=2, first_pause=0.1, longest_pause=0.2, auth_pause=0.2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kinds")


@pytest.fixture
def http() -> Iterator[HttpServer]:
    server = HttpServer({})
    yield server
    server.close()


async def error_of(url: object, **fields: object) -> CameraError:
    """Why a camera is offline."""
    async with Camera(settings(url, **fields), arrived=asyncio.Event(), patience=QUICK) as camera:
        await until(camera, "offline")
        assert camera.state.error is not None
        return camera.state.error


@pytest.mark.rtsp
@pytest.mark.parametrize(
    ("offered", "asked", "used"),
    [("tcp", "auto", "tcp"), ("udp", "auto", "udp"), ("udp", "udp", "udp"), ("tcp", "udp", None), ("udp", "tcp", None)],
)
async def test_auto_takes_the_transport_that_the_camera_offers(
    serve: Servers, clip: Path, offered: str, asked: str, used: str | None
) -> None:
    server, arrived = serve({"live": clip}, protocols=offered), asyncio.Event()
    if used is None:
        error = await error_of(server.url(), transport=asked)
        assert error.code == "unsupported"
        assert "transport: auto" in str(error)
        return

    camera_settings = settings(server.url(), transport=asked, fps=FPS)
    async with Camera(camera_settings, arrived=arrived, patience=QUICK) as camera:
        taken = await take(camera, arrived, 3)
        assert camera.counts.transport == used

        server.kill()
        await until(camera, "offline")
        serve({"live": clip}, port=server.port, protocols=offered)
        await until(camera, "live")
        assert camera.counts.transport == used, "what worked is remembered"
    numbers = [number_in(frame.pixels) for frame in taken]
    assert numbers == list(range(numbers[0], numbers[0] + 3))


@pytest.mark.rtsp
@pytest.mark.parametrize("kind", ["basic", "digest"])
@pytest.mark.parametrize("password", ["p@ss:w#rd", "100%/sure?", "a b&c=d"])
async def test_any_password_opens_an_rtsp_camera(serve: Servers, clip: Path, kind: str, password: str) -> None:
    server, arrived = serve({"live": clip}, auth=(kind, "me", password)), asyncio.Event()

    async with Camera(settings(server.url(user_info=f"me:{password}")), arrived=arrived, patience=QUICK) as camera:
        assert await take(camera, arrived, 1)


@pytest.fixture
def tls() -> Iterator[list[TlsProxy]]:
    if shutil.which("openssl") is None:
        skip_or_fail("openssl", "there is no openssl to make a certificate with")
    proxies: list[TlsProxy] = []
    yield proxies
    for proxy in proxies:
        proxy.close()


@pytest.mark.rtsp
async def test_rtsps_takes_any_certificate_unless_it_shall_verify(
    serve: Servers, clip: Path, tls: list[TlsProxy], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = TlsProxy(serve({"live": clip}).port, folder)
    tls.append(proxy)
    url, arrived = f"rtsps://127.0.0.1:{proxy.port}/live", asyncio.Event()

    async with Camera(settings(url), arrived=arrived, patience=QUICK) as camera:
        assert await take(camera, arrived, 2)

    error = await error_of(url, verify_tls=True)
    assert error.code == "tls"
    assert "verify_tls: false" in str(error)

    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "certificate.pem"))
    async with Camera(settings(url, verify_tls=True), arrived=arrived, patience=QUICK) as camera:
        assert await take(camera, arrived, 1)


@pytest.mark.rtsp
async def test_tls_on_a_plain_port_is_told(serve: Servers, clip: Path) -> None:
    error = await error_of(f"rtsps://me:hunter2@127.0.0.1:{serve({'live': clip}).port}/live")

    assert error.code == "tls"
    assert "try rtsp://" in str(error)
    assert "hunter2" not in str(error)


async def test_https_shows_jpegs(tls: list[TlsProxy], folder: Path) -> None:
    server, arrived = MjpegServer(), asyncio.Event()
    tls.append(TlsProxy(server.port, folder))
    try:
        url = f"https://127.0.0.1:{tls[0].port}/video"
        async with Camera(settings(url, fps=FPS), arrived=arrived, patience=QUICK) as camera:
            taken = await take(camera, arrived, 10)
            assert camera.live
        assert (await error_of(url, verify_tls=True)).code == "tls"
    finally:
        server.close()
    steps = [later.time_seconds - earlier.time_seconds for earlier, later in itertools.pairwise(taken)]
    assert sum(steps) / len(steps) == pytest.approx(0.1, abs=0.04)


@pytest.fixture(scope="module")
def playlist(folder: Path) -> Path:
    (folder / "hls").mkdir()
    options = {"hls_time": "1", "hls_list_size": "0"}
    return counting_clip(
        folder / "hls", name="all.m3u8", num_frames=150, container_format="hls", container_options=options
    )


async def test_a_live_playlist_plays_on_at_its_own_pace(playlist: Path) -> None:
    routes = {f"/{file.name}": file.read_bytes() for file in playlist.parent.iterdir()}
    server, arrived = HttpServer({**routes, "/live.m3u8": LivePlaylist(playlist)}), asyncio.Event()
    try:
        async with Camera(settings(server.url("/live.m3u8"), fps=FPS), arrived=arrived, patience=QUICK) as camera:
            taken = await take(camera, arrived, 35)
            assert camera.live
            assert camera.num_reconnects == 0
    finally:
        server.close()

    numbers = [number_in(frame.pixels) for frame in taken]
    assert numbers == sorted(numbers)
    assert numbers[0] >= 30, "it begins with the newest segment, not with the first"
    assert numbers[-1] - numbers[0] <= 38
    assert taken[-1].time_seconds - taken[0].time_seconds == pytest.approx(3.4, abs=0.8)


async def test_a_recording_on_a_web_server_plays_in_real_time_and_then_again(folder: Path) -> None:
    recording = counting_clip(folder, name="short.ts", num_frames=15)
    server, arrived = HttpServer({"/short.ts": recording.read_bytes()}), asyncio.Event()
    try:
        url = server.url("/short.ts")
        async with Camera(settings(url, fps=FPS), arrived=arrived, patience=QUICK) as camera:
            began = time.monotonic()
            taken = await take(camera, arrived, 20)
            passed_seconds = time.monotonic() - began
            assert camera.state.last_error is not None
            assert camera.state.last_error.code == "ended"
    finally:
        server.close()
    assert number_in(taken[-1].pixels) < number_in(taken[10].pixels)
    assert passed_seconds > 1.8


async def test_mpeg_ts_changes_its_size_in_the_middle(folder: Path) -> None:
    small = counting_clip(folder, name="small.ts", num_frames=30)
    large = counting_clip(folder, name="large.ts", num_frames=60, width=480, height=360)
    server, arrived = HttpServer({"/ts": lambda: in_real_time(small, large)}), asyncio.Event()
    try:
        async with Camera(settings(server.url("/ts"), fps=FPS), arrived=arrived) as camera:
            async with asyncio.timeout(15):
                shapes = []
                while (360, 480, 3) not in shapes[:-3]:
                    shapes += [frame.pixels.shape for frame in await take(camera, arrived, 1)]
            assert camera.state.status == "live"
            assert camera.num_reconnects == 0
    finally:
        server.close()
    assert shapes[0] == (240, 320, 3)
    assert shapes == sorted(shapes)


def hostile(line: str) -> bytes:
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{line}\n#EXT-X-ENDLIST\n".encode()


@pytest.mark.parametrize(
    "trick", ["file:{file}", "{file}", "concat:{url}|file:{file}", "subfile,,start,0,end,0,,:{file}"]
)
async def test_a_playlist_cannot_name_other_things_than_the_web(folder: Path, trick: str) -> None:
    bait = counting_clip(folder, name="bait.ts", num_frames=20)
    routes: dict[str, bytes] = {}
    server = HttpServer(routes)
    try:
        routes["/a.m3u8"] = hostile(trick.format(file=bait, url=server.url("/a.ts")))
        error = await error_of(server.url("/a.m3u8"))
        assert error.code in ("codec", "not_found", "unsupported")
    finally:
        server.close()


async def test_no_script_and_no_description_is_opened_from_the_web(folder: Path) -> None:
    bait = counting_clip(folder, name="bait.mp4", num_frames=20)
    script = f"ffconcat version 1.0\nfile 'file:{bait}'\n".encode()
    description = (
        b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video 5004 RTP/AVP 96\r\n"
    )
    server = HttpServer({"/script": script, "/description": description + b"a=rtpmap:96 H264/90000\r\n"})
    try:
        for path in ("/script", "/description"):
            assert (await error_of(server.url(path))).code == "unsupported"
    finally:
        server.close()


async def test_a_script_on_disk_is_no_video(folder: Path) -> None:
    bait = counting_clip(folder, name="bait.mp4", num_frames=20)
    script = folder / "script.txt"
    script.write_text(f"ffconcat version 1.0\nfile '{bait.name}'\n")

    assert (await error_of(script)).code == "codec"


@pytest.mark.parametrize(
    "source", ["concat:a.mp4|b.mp4", "subfile,,start,0,end,0,,:a.mp4", "pipe:0", "data:video/mp4,x"]
)
async def test_ffmpegs_own_protocols_are_only_names_of_files_that_are_not_there(source: str) -> None:
    assert (await error_of(source)).code == "not_found"


async def test_hardware_that_is_not_there_is_told_once_and_the_cpu_decodes(caplog: pytest.LogCaptureFixture) -> None:
    if works_here("qsv"):
        pytest.skip("this machine has the hardware")
    _tell_once.cache_clear()
    caplog.set_level(logging.INFO, "streamer")
    server = MjpegServer()
    try:
        for decode in ("qsv", "qsv", "auto", "cpu"):
            arrived = asyncio.Event()
            url = f"http://127.0.0.1:{server.port}/video"
            async with Camera(settings(url, decode=decode), arrived=arrived, patience=QUICK) as camera:
                assert await take(camera, arrived, 1)
    finally:
        server.close()
    assert [message for message in caplog.messages if "decod" in message] == [
        "decode: qsv does not work on this machine; decoding on the CPU"
    ]


@pytest.mark.rtsp
async def test_no_fault_writes_the_password_anywhere(
    serve: Servers, clip: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    who, secret = "me:hunter2@/#x", "hunter2"
    silent, mjpeg = SilentServer(), MjpegServer(user_info="me:right")
    wrong, live = serve({"live": clip}, auth=("digest", "me", "right")), serve({"live": clip}, corrupt=0.5)
    urls = [
        wrong.url(user_info=who),
        live.url(user_info=who),
        live.url("none", user_info=who),
        f"rtsp://{who}@127.0.0.1:{free_port()}/x",
        f"rtsp://{who}@127.0.0.1:{silent.port}/x",
        f"rtsp://{who}@no-such-camera.invalid/x",
        f"rtsps://{who}@127.0.0.1:{live.port}/live",
        f"http://{who}@127.0.0.1:{mjpeg.port}/video",
        f"https://{who}@127.0.0.1:{mjpeg.port}/video",
        f"http://127.0.0.1:{free_port()}/cgi?user=me&password={secret}",
    ]
    written: list[str] = []
    try:
        for isolation in ("thread", "process"):
            async with AsyncExitStack() as entered:
                cameras = [
                    await entered.enter_async_context(
                        Camera(
                            settings(url, name=f"c{number}", isolation=isolation),
                            arrived=asyncio.Event(),
                            patience=QUICK,
                        )
                    )
                    for number, url in enumerate(urls)
                ]
                await asyncio.gather(*(until(camera, "offline", "live", within_seconds=40) for camera in cameras))
                live.kill()
                await until(cameras[1], "offline", within_seconds=40)
                for camera in cameras:
                    state, error = camera.state, camera.state.last_error
                    assert error is not None
                    written += [str(error), repr(error), repr(error.__cause__), repr(error.__context__), repr(state)]
                    written += [repr(camera.settings), camera.settings.model_dump_json(), repr(camera.counts)]
            live = serve({"live": clip}, corrupt=0.5, port=live.port)
    finally:
        silent.close()
        mjpeg.close()
    written += [str(record.__dict__) + record.getMessage() for record in caplog.records]
    written += capfd.readouterr()

    assert len(written) > 100
    assert not [text for text in written if secret in text]
