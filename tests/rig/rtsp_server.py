"""A real RTSP server that plays files as live cameras, in real time and for ever; knows nothing of Longwatch.

    python rtsp_server.py PORT live=FILE [second=FILE ...] [--auth basic|digest USER PASSWORD] [--corrupt SHARE]
                          [--protocols tcp|udp] [--own-feeds]

Packets are demuxed by PyAV and pushed through GStreamer without encoding them again (H.264 and H.265, TCP and UDP).
All clients of a path share one feed; it starts at the first frame with the first client. With --own-feeds each has its
own, so that one that comes while the feed of the last one is being torn down is not answered 503.
Prints "listening PORT" when it is ready, and "feed PATH SECONDS" when a feed starts: time.monotonic() of its packet 0.
"""

import argparse
import contextlib
import random
import sys
import threading
import time
from collections.abc import Iterator

import av
from av.bitstream import BitStreamFilterContext

sys.path.append("/usr/lib/python3/dist-packages")  # last, so that the system's numpy does not shadow ours

import gi

for name, version in (("Gst", "1.0"), ("GstRtsp", "1.0"), ("GstRtspServer", "1.0"), ("GstApp", "1.0")):
    gi.require_version(name, version)
from gi.repository import GLib, Gst, GstApp, GstRtsp, GstRtspServer  # noqa: E402, F401

HEADER_BYTES = 40
PIPELINE = (
    "( appsrc name=src is-live=true format=time do-timestamp=false block=false max-bytes=20000000 "
    "caps=video/x-{codec},stream-format=byte-stream,alignment=au "
    "! {codec}parse config-interval=-1 ! rtp{codec}pay name=pay0 pt=96 )"
)


class LiveFactory(GstRtspServer.RTSPMediaFactory):
    """Makes the feeds of a file: one that is shared, or one for each client."""

    __gtype_name__ = "LiveFactory"

    def __init__(self, path: str, *, mount: str, corrupt: float, own_feeds: bool) -> None:
        super().__init__()
        self.path = path
        self.mount = mount
        self.corrupt = corrupt
        with av.open(path) as container:
            self.codec = {"hevc": "h265"}.get(container.streams.video[0].codec_context.name, "h264")
        self.set_shared(not own_feeds)
        self.set_suspend_mode(GstRtspServer.RTSPSuspendMode.NONE)
        self.set_latency(100)

    def do_create_element(self, _url: object) -> object:
        return Gst.parse_launch(PIPELINE.format(codec=self.codec))

    def do_configure(self, media: object) -> None:
        GstRtspServer.RTSPMediaFactory.do_configure(self, media)
        source = media.get_element().get_child_by_name("src")
        stop = threading.Event()
        media.connect("unprepared", lambda _media: stop.set())
        threading.Thread(target=self.feed, args=(source, stop), daemon=True).start()

    def feed(self, source: object, stop: threading.Event) -> None:
        """Pushes packets when they are due, until nobody listens any more."""
        started = time.monotonic()
        print("feed", self.mount, started, flush=True)
        for data, dts_seconds, pts_seconds in endless_packets(self.path, self.codec):
            if stop.wait(max(0.0, started + dts_seconds - time.monotonic())):
                return
            buffer = Gst.Buffer.new_wrapped(damaged(data, self.corrupt))
            buffer.dts, buffer.pts = int(dts_seconds * 1e9), int(pts_seconds * 1e9)
            if source.emit("push-buffer", buffer) != Gst.FlowReturn.OK:
                return


def endless_packets(path: str, codec: str) -> Iterator[tuple[bytes, float, float]]:
    """(data, dts, pts) with times that go on from one round of the file to the next."""
    base_seconds = 0.0
    while True:
        last_seconds = base_seconds
        with av.open(path) as container:
            stream = container.streams.video[0]
            annex_b = BitStreamFilterContext("hevc_mp4toannexb" if codec == "h265" else "h264_mp4toannexb", stream)
            first_dts_seconds = None
            for raw in container.demux(stream):
                for packet in annex_b.filter(raw) if raw.dts is not None else ():
                    dts_seconds = float(packet.dts * packet.time_base)
                    first_dts_seconds = dts_seconds if first_dts_seconds is None else first_dts_seconds
                    shift_seconds = base_seconds - first_dts_seconds
                    last_seconds = dts_seconds + shift_seconds
                    pts = packet.pts if packet.pts is not None else packet.dts
                    yield bytes(packet), last_seconds, float(pts * packet.time_base) + shift_seconds
            base_seconds = last_seconds + float(1 / (stream.average_rate or 25))


def damaged(data: bytes, share: float) -> bytes:
    """`share` of the packets with some bytes flipped behind their headers."""
    if random.random() >= share or len(data) <= 2 * HEADER_BYTES:
        return data
    out = bytearray(data)
    for _ in range(len(out) // 50 + 1):
        out[random.randrange(HEADER_BYTES, len(out))] ^= random.randrange(1, 256)
    return bytes(out)


def demand_password(server: object, kind: str, user: str, password: str) -> None:
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "user")
    if kind == "digest":
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(user, password, token)
    else:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.BASIC)
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)


def user_may_watch() -> object:
    permissions = GstRtspServer.RTSPPermissions()
    for right in ("media.factory.access", "media.factory.construct"):
        permissions.add_permission_for_role("user", right, True)
    return permissions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("mounts", nargs="+", metavar="PATH=FILE")
    parser.add_argument("--auth", nargs=3, metavar=("KIND", "USER", "PASSWORD"))
    parser.add_argument("--corrupt", type=float, default=0.0, metavar="SHARE")
    parser.add_argument("--protocols", choices=["tcp", "udp"])
    parser.add_argument("--own-feeds", action="store_true")
    arguments = parser.parse_args()
    random.seed(0)
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(arguments.port))
    if arguments.auth:
        demand_password(server, *arguments.auth)
    mounts = server.get_mount_points()
    for mount in arguments.mounts:
        path, _, file = mount.partition("=")
        factory = LiveFactory(file, mount=path, corrupt=arguments.corrupt, own_feeds=arguments.own_feeds)
        if arguments.protocols:
            factory.set_protocols(getattr(GstRtsp.RTSPLowerTrans, arguments.protocols.upper()))
        if arguments.auth:
            factory.set_permissions(user_may_watch())
        mounts.add_factory("/" + path.lstrip("/"), factory)
    if server.attach(None) == 0:
        sys.exit(f"cannot listen on port {arguments.port}; is it in use?")
    print("listening", server.get_bound_port(), flush=True)
    GLib.timeout_add_seconds(5, lambda: server.get_session_pool().cleanup() or True)
    with contextlib.suppress(KeyboardInterrupt):
        GLib.MainLoop().run()


if __name__ == "__main__":
    main()
