"""Starting and stopping the real servers of the tests, by process id and with bounds."""

import base64
import contextlib
import hashlib
import http.server
import itertools
import re
import select
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

RTSP_SERVER = Path(__file__).with_name("rtsp_server.py")
START_SECONDS = 20.0


@dataclass(slots=True)
class RtspServer:
    """A running rtsp_server.py."""

    port: int
    process: subprocess.Popen[str]
    feeds: dict[str, float] = field(default_factory=dict)

    def feed_started_seconds(self, path: str = "live") -> float:
        """time.monotonic() when packet 0 of the newest feed went out; packet k goes out at its own pts after that."""
        return self.feeds[path]

    def url(self, path: str = "live", *, user_info: str = "") -> str:
        return f"rtsp://{user_info}{'@' if user_info else ''}127.0.0.1:{self.port}/{path}"

    def kill(self) -> None:
        self.process.kill()
        self._end()

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self._end()

    def _end(self) -> None:
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


def start_rtsp_server(
    mounts: dict[str, Path],
    *,
    port: int,
    auth: tuple[str, str, str] | None = None,
    corrupt: float = 0.0,
    protocols: str | None = None,
    own_feeds: bool = False,
) -> RtspServer:
    """Starts a server and waits until it listens; raises RuntimeError with its own words when it does not."""
    command = [sys.executable, str(RTSP_SERVER), str(port), *(f"{path}={file}" for path, file in mounts.items())]
    command += ["--auth", *auth] if auth else []
    command += ["--corrupt", str(corrupt)] if corrupt else []
    command += ["--protocols", protocols] if protocols else []
    command += ["--own-feeds"] if own_feeds else []
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    server = RtspServer(port, process)
    assert process.stdout is not None
    assert process.stderr is not None
    readable, _, _ = select.select([process.stdout], [], [], START_SECONDS)
    line = process.stdout.readline() if readable else ""
    if not line.startswith("listening"):
        process.kill()
        words = process.stderr.read().strip()
        server.stop()
        raise RuntimeError(f"the RTSP server did not start within {START_SECONDS:.0f} s: {words or 'it says nothing'}")
    threading.Thread(target=process.stderr.read, daemon=True).start()  # so that its pipe never fills
    threading.Thread(target=_note_feeds, args=(server,), daemon=True).start()
    return server


def _note_feeds(server: RtspServer) -> None:
    assert server.process.stdout is not None
    with contextlib.suppress(ValueError):  # closed while it was read
        for line in server.process.stdout:
            _, path, seconds = line.split()
            server.feeds[path] = float(seconds)


class SilentServer:
    """Accepts TCP connections and never says a word."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(0.1)
        self._accepted: list[socket.socket] = []
        self._quit = threading.Event()
        self.port: int = self._socket.getsockname()[1]
        self.accepted = threading.Event()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._quit.set()
        self._thread.join(2)
        for each in (self._socket, *self._accepted):
            each.close()

    def _accept(self) -> None:
        while not self._quit.is_set():
            try:
                connection, _ = self._socket.accept()
            except TimeoutError:
                continue
            self._accepted.append(connection)
            self.accepted.set()


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class MjpegServer:
    """An HTTP camera: an endless multipart stream of JPEG pictures at 10 per second, with a password if given.

    auth  how it asks for the password: "basic" or "digest"
    """

    def __init__(self, *, user_info: str | None = None, auth: str = "basic") -> None:
        pictures = [
            cv2.imencode(".jpg", np.full((120, 160, 3), shade, np.uint8))[1].tobytes() for shade in range(50, 250)
        ]
        quit = self._quit = threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                proves = {"basic": _is_basic, "digest": _is_digest}[auth]
                if user_info is not None and not proves(self.headers.get("Authorization", ""), user_info):
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", _CHALLENGES[auth])
                    self.end_headers()
                    return
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                for picture in itertools.cycle(pictures):
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
                    try:
                        self.wfile.write(head.encode() + picture + b"\r\n")
                    except OSError:
                        return
                    if quit.wait(0.1):
                        return

            def log_message(self, *_arguments: object) -> None:
                """Silent."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._quit.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(2)


_CHALLENGES = {"basic": 'Basic realm="camera"', "digest": 'Digest realm="camera", nonce="5ca1ab1e", qop="auth"'}


def _is_basic(authorization: str, user_info: str) -> bool:
    return authorization == f"Basic {base64.b64encode(user_info.encode()).decode()}"


def _is_digest(authorization: str, user_info: str) -> bool:
    """RFC 2617, with qop=auth and MD5."""
    given: dict[str, str] = dict(re.findall(r'(\w+)="?([^",]*)"?', authorization.removeprefix("Digest ")))
    user, _, password = user_info.partition(":")

    def md5(*parts: str) -> str:
        return hashlib.md5(":".join(parts).encode()).hexdigest()

    if given.get("username") != user or given.get("nonce") != "5ca1ab1e":
        return False
    proof = (given["nonce"], given["nc"], given["cnonce"], given["qop"])
    return given["response"] == md5(md5(user, "camera", password), *proof, md5("GET", given["uri"]))
