"""advise: what to change in a camera, or in its address, by what was seen of its stream; opens nothing itself."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from streamer.secret import SecretUrl

__all__ = ["Seen", "advise", "sub_stream_of"]

USED_WIDTH = 640
LARGE_PIXELS = 1920 * 1080
SLOW_KEY_FRAMES_SECONDS = 4.0
ENOUGH_FPS = 16.0
LAG_SECONDS = 1.0
MAX_FPS = 240.0
_ANNOUNCED_TOLERANCE = 0.25
_NETWORK_SCHEMES = ("rtsp", "rtsps", "http", "https")
_SUB_STREAMS: tuple[tuple[str, str, str], ...] = (
    # vendor, what its main stream's path looks like, what to write instead
    ("Reolink", r"(?i)h26[45](Preview_\d+)_main", r"h264\1_sub"),
    ("Reolink", r"(?i)(Preview_\d+)_main", r"\1_sub"),
    ("Reolink", r"(?i)(channel\d+)_main(?=\.bcs)", r"\1_sub"),
    ("Hikvision", r"(?i)(Streaming/Channels/\d+)01\b", r"\g<1>02"),
    ("Hikvision or Ezviz", r"(?i)/h26[45]/(ch\d+)/main\b", r"/h264/\1/sub"),
    ("Dahua or Amcrest", r"(?i)(cam/realmonitor\?.*\bsubtype=)0\b", r"\g<1>1"),
    ("Uniview", r"(?i)(unicast/c\d+)/s0\b", r"\1/s1"),
    ("Uniview", r"(?i)(/media/video)1\b", r"\g<1>2"),
    ("Foscam", r"/videoMain\b", "/videoSub"),
    ("Xiongmai", r"(?i)(\bstream=)0(?=\.sdp)", r"\g<1>1"),
    ("Sonoff", r"(/av_stream/ch)0\b", r"\g<1>1"),
    ("Tapo and others", r"/stream1\b", "/stream2"),
    ("", r"/(live/)?main\b", r"/\1sub"),
)
_AXIS = re.compile(r"(?i)axis-media/media\.amp")
_UNIFI_PORTS = (7441, 7447)


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a stream; None where it is not.

    width, height     as the camera sends it
    decoder           "h264", or with hardware "h264 on cuda"
    key_frame_seconds from one key frame to the next; at least so long where `is_key_frame_bound`
    lag_seconds       how old pictures are when they are handed over
    """

    url: SecretUrl
    live: bool
    wanted_fps: float
    codec: str | None = None
    decoder: str | None = None
    width: int | None = None
    height: int | None = None
    fps_announced: float | None = None
    fps_measured: float | None = None
    key_frame_seconds: float | None = None
    is_key_frame_bound: bool = False
    lag_seconds: float | None = None
    transport: str | None = None
    num_corrupt: int = 0


def advise(seen: Seen) -> tuple[str, ...]:
    """One sentence each, the most useful first; none for a file, whose making is over."""
    if not seen.live or seen.url.scheme not in _NETWORK_SCHEMES:
        return ()
    found = (_on_size(seen), _on_codec(seen), _on_key_frames(seen), _on_rate(seen), _on_lag(seen), _on_damage(seen))
    return tuple(advice for advice in found if advice is not None)


def sub_stream_of(url: SecretUrl) -> tuple[str, str] | None:
    """(vendor, the likely address of the sub-stream, user and password hidden), where the path shows the vendor."""
    if url.scheme not in _NETWORK_SCHEMES:
        return None
    shown = str(url)
    start = len(url.scheme) + 3
    for vendor, main, sub in _SUB_STREAMS:
        path, num_found = re.subn(main, sub, shown[start:], count=1)
        if num_found:
            return vendor, shown[:start] + path
    if _AXIS.search(shown) and "resolution=" not in shown:
        return "Axis", f"{shown}{'&' if '?' in shown else '?'}resolution=640x360"
    return None


def _on_size(seen: Seen) -> str | None:
    if not seen.width or not seen.height or seen.width * seen.height < LARGE_PIXELS:
        return None
    megapixels = seen.width * seen.height / 1e6
    what = f"this is a stream of {megapixels:.0f} MP, of which pictures {USED_WIDTH} wide are used"
    if (sub := sub_stream_of(seen.url)) is not None:
        vendor, address = sub
        return f"{what}; use the sub-stream{f' ({vendor})' if vendor else ''}: {address}"
    if _port(seen.url) in _UNIFI_PORTS:
        return f"{what}; in UniFi Protect, turn on the camera's low or medium RTSP stream and use its address"
    return (
        f"{what}; use the camera's sub-stream (second stream, profile 2, low quality): see its manual or ONVIF profiles"
    )


def _on_codec(seen: Seen) -> str | None:
    if seen.codec not in ("hevc", "av1") or " on " in (seen.decoder or ""):
        return None
    name = {"hevc": "H.265", "av1": "AV1"}[seen.codec]
    return f"{name} is decoded by the CPU here, at more cost than H.264; set this stream to H.264"


def _on_key_frames(seen: Seen) -> str | None:
    if seen.key_frame_seconds is None or seen.key_frame_seconds <= SLOW_KEY_FRAMES_SECONDS:
        return None
    more = " or more" if seen.is_key_frame_bound else ""
    fps = seen.fps_measured or seen.fps_announced
    frames = f" ({max(1, round(fps))} to {max(1, round(2 * fps))} frames)" if fps else ""
    return (
        f"a key frame comes only every {seen.key_frame_seconds:.0f} s{more}, and after a reconnect or damage nothing "
        f"is seen until the next; set the camera's I-frame interval to 1 to 2 s{frames}"
    )


def _on_rate(seen: Seen) -> str | None:
    measured, announced = seen.fps_measured, seen.fps_announced
    if measured is None:
        return None
    if announced is not None and announced > MAX_FPS:  # a clock's rate, not the pictures'
        announced = None
    if measured < 0.9 * seen.wanted_fps:
        advice = "raise the camera's frame rate, or lower fps"
        return f"{measured:.1f} frames per second come, {seen.wanted_fps:g} are wanted; {advice}"
    if announced and abs(measured - announced) > max(1.0, _ANNOUNCED_TOLERANCE * announced):
        why = (
            "a dark scene, a weak network, or a busy camera"
            if measured < announced
            else "the camera announces it wrongly"
        )
        return f"{announced:.0f} frames per second are announced and {measured:.1f} come: {why}"
    if measured > max(ENOUGH_FPS, 2 * seen.wanted_fps):
        looked_at = f"{seen.wanted_fps:g} that are looked at"
        return f"{measured:.0f} frames per second are decoded for {looked_at}; 10 to 15 cost less"
    return None


def _on_lag(seen: Seen) -> str | None:
    if seen.lag_seconds is None or seen.lag_seconds <= LAG_SECONDS:
        return None
    return f"pictures come {seen.lag_seconds:.1f} s late; check the network (Wi-Fi?) and this machine's load"


def _on_damage(seen: Seen) -> str | None:
    if not seen.num_corrupt:
        return None
    how = "; it comes over UDP: write transport: tcp" if seen.transport == "udp" else ""
    return f"{seen.num_corrupt} pictures were damaged on their way; check cable or Wi-Fi{how}"


def _port(url: SecretUrl) -> int | None:
    try:
        return urlsplit(f"//{url.location}").port
    except ValueError:
        return None
