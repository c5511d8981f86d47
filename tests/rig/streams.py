"""Cameras that do not speak plain RTSP: one transport only, TLS, HLS, MPEG-TS, some hang up; each a real server."""

import contextlib
import http.server
import itertools
import re
import select
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import cv2
import numpy as np

_POLL_SECONDS = 0.05


class _TcpServer:
    """Accepts connections, each handled in a thread, until closed."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._socket.settimeout(_POLL_SECONDS)
        self.quit = threading.Event()
        self.port: int = self._socket.getsockname()[1]
        self.num_accepted = 0
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def handle(self, connection: socket.socket) -> None:
        raise NotImplementedError

    def close(self) -> None:
        self.quit.set()
        self._thread.join(2)
        self._socket.close()

    def _accept(self) -> None:
        while not self.quit.is_set():
            try:
                connection, _ = self._socket.accept()
            except TimeoutError:
                continue
            self.num_accepted += 1
            self.handle(connection)


class SlammingServer(_TcpServer):
    """Takes every connection and closes it at once."""

    def handle(self, connection: socket.socket) -> None:
        connection.close()


class TransportProxy(_TcpServer):
    """Stands before an RTSP server and spoils its transports: as `spoils` says, which may be changed at any time.

    spoils  for "tcp" and "udp": a status, like "400 Bad Request", that answers SETUP, "once 503 ..." the first time
            alone; or "silent": it is accepted, and nothing is sent over it
    tried   the transports that were asked for, in order
    """

    def __init__(self, target_port: int, *, spoils: dict[str, str]) -> None:
        self._target_port = target_port
        self.spoils = spoils
        self.tried: list[str] = []
        self._hang_up = threading.Event()
        super().__init__()

    def hang_up(self) -> None:
        """Ends the connections that are open now; the next ones are taken."""
        self._hang_up.set()
        self._hang_up = threading.Event()

    def handle(self, connection: socket.socket) -> None:
        threading.Thread(target=self._serve, args=(connection, self._hang_up), daemon=True).start()

    def _serve(self, client: socket.socket, hang_up: threading.Event) -> None:
        with contextlib.suppress(OSError), client, socket.create_connection(("127.0.0.1", self._target_port)) as server:
            is_deaf = False
            while not (self.quit.is_set() or hang_up.is_set()):
                readable, _, _ = select.select([client, server], [], [], _POLL_SECONDS)
                for source in readable:
                    data = source.recv(1 << 16)
                    if not data:
                        return
                    if source is client:
                        self._pass_request(data, client, server)
                        is_deaf |= data.startswith(b"PLAY") and self.spoils.get(self.tried[-1]) == "silent"
                    elif not is_deaf:
                        client.sendall(data)
                    elif data.startswith(b"RTSP/"):
                        client.sendall(data[: data.index(b"\r\n\r\n") + 4])

    def _pass_request(self, data: bytes, client: socket.socket, server: socket.socket) -> None:
        if data.startswith(b"SETUP"):
            self.tried.append("tcp" if b"RTP/AVP/TCP" in data else "udp")
            fault = self.spoils.get(self.tried[-1], "")
            if fault == "silent":
                data = re.sub(rb"client_port=\d+-\d+", b"client_port=9-9", data)  # where nobody listens
            elif fault:
                if fault.startswith("once "):
                    del self.spoils[self.tried[-1]]
                sequence = re.search(rb"CSeq: *\d+", data)
                assert sequence is not None
                client.sendall(b"RTSP/1.0 %s\r\n%s\r\n\r\n" % (fault.removeprefix("once ").encode(), sequence[0]))
                return
        server.sendall(data)


class TlsProxy(_TcpServer):
    """Makes a plain server one behind TLS, with a certificate that it signed itself."""

    def __init__(self, target_port: int, folder: Path) -> None:
        self._target_port = target_port
        certificate, key = self_signed(folder)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        super().__init__()

    def handle(self, connection: socket.socket) -> None:
        threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            connection.settimeout(5)
            with (
                self._context.wrap_socket(connection, server_side=True) as secure,
                socket.create_connection(("127.0.0.1", self._target_port)) as plain,
            ):
                self._pump(secure, plain)

    def _pump(self, secure: ssl.SSLSocket, plain: socket.socket) -> None:
        """Both ways in one thread: TLS sockets are not for two."""
        secure.settimeout(0.002)
        plain.settimeout(0.002)
        while not self.quit.is_set():
            for source, target in ((secure, plain), (plain, secure)):
                try:
                    data = source.recv(1 << 16)
                except TimeoutError:
                    continue
                if not data:
                    return
                target.settimeout(5)
                target.sendall(data)
                target.settimeout(0.002)


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost and its key."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-out", str(certificate), "-keyout", str(key)]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    return certificate, key


class HttpServer:
    """Answers GET by path: bytes as they are, or what a function gives, piece by piece, without a length."""

    def __init__(self, routes: dict[str, bytes | Callable[[], bytes | Iterator[bytes]]]) -> None:
        quit = self.quit = threading.Event()
        self.asked: list[str] = []
        asked = self.asked

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                found = routes.get(self.path)
                if found is None:
                    self.send_error(404)
                    return
                content = found() if callable(found) else found
                self.send_response(200)
                if isinstance(content, bytes):
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                with contextlib.suppress(OSError):
                    for piece in [content] if isinstance(content, bytes) else content:
                        self.wfile.write(piece)
                        if quit.is_set():
                            return

            def log_message(self, *_arguments: object) -> None:
                """Silent."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_POLL_SECONDS,), daemon=True)
        self._thread.start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def close(self) -> None:
        self.quit.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(2)


def a_few_pictures() -> Iterator[bytes]:
    """Motion JPEG of a camera that hangs up at once: what had piled up, then one picture after the other."""
    jpeg = cv2.imencode(".jpg", np.full((120, 160, 3), 99, np.uint8))[1].tobytes()
    part = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(jpeg), jpeg)
    yield 2 * part
    for _ in range(3):
        time.sleep(0.01)
        yield part


def in_real_time(*files: Path) -> Iterator[bytes]:
    """The bytes of MPEG-TS files one after the other, at the pace at which they play."""
    for file in files:
        data, began = file.read_bytes(), time.monotonic()
        with av.open(str(file)) as container:
            assert container.duration is not None
            bytes_per_second = len(data) / (container.duration / av.time_base)
        for start in range(0, len(data), 188 * 7):
            time.sleep(max(0.0, began + start / bytes_per_second - time.monotonic()))
            yield data[start : start + 188 * 7]


class LivePlaylist:
    """A sliding HLS playlist over the segments of a whole one: the newest `window` that are over by now."""

    def __init__(self, playlist: Path, *, window: int = 4) -> None:
        lines = playlist.read_text().splitlines()
        self._segments = [(extinf, name) for extinf, name in itertools.pairwise(lines) if extinf.startswith("#EXTINF")]
        self._began = time.monotonic()
        self._window = window

    def __call__(self) -> bytes:
        seconds = [float(extinf.removeprefix("#EXTINF:").rstrip(",")) for extinf, _ in self._segments]
        passed, end = time.monotonic() - self._began, self._window
        while end < len(seconds) and sum(seconds[self._window : end + 1]) <= passed:
            end += 1
        first = end - self._window
        lines = ["#EXTM3U", "#EXT-X-VERSION:3", f"#EXT-X-TARGETDURATION:{round(max(seconds))}"]
        lines.append(f"#EXT-X-MEDIA-SEQUENCE:{first}")
        for extinf, name in self._segments[first:end]:
            lines += [extinf, name]
        return ("\n".join(lines) + "\n").encode()
