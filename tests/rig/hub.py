"""A hub on this machine, as far as fetching needs one; it can break off, refuse, and lie about sizes."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE_BYTES = 1_000_000
"""Files from here on are stored as large ones, with the hash of their content as their name."""


@dataclass
class Hub:
    """Serves the files of `folder` as the repository `name`, at its revision main.

    cut_after   the next answers with weights end after so many bytes each, without having said so
    status      all weights are answered with this instead
    claimed     what is told of a file's size in place of the truth
    gets        of each file that was asked for: its path and the Range that was asked for
    """

    folder: Path
    name: str = "someone/tiny"
    url: str = ""
    is_gated: bool = False
    status: int | None = None
    cut_after: list[int] = field(default_factory=list)
    claimed: dict[str, int] = field(default_factory=dict)
    gets: list[tuple[str, str | None]] = field(default_factory=list)
    num_requests: int = 0

    @property
    def info(self) -> dict[str, Any]:
        siblings = []
        for path in sorted(self.folder.rglob("*")):
            if path.is_file():
                told: dict[str, Any] = {
                    "rfilename": str(path.relative_to(self.folder)),
                    "size": self.claimed.get(path.name, path.stat().st_size),
                    "blobId": _git_hash(path.read_bytes()),
                }
                if path.stat().st_size >= LARGE_BYTES:
                    told["lfs"] = {"sha256": _sha256(path), "size": told["size"], "pointerSize": 100}
                siblings.append(told)
        return {"id": self.name, "modelId": self.name, "sha": COMMIT, "siblings": siblings}


@contextlib.contextmanager
def serve(hub: Hub) -> Iterator[Hub]:
    """`hub` at an address of this machine, until the block is left."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def _handler(hub: Hub) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self._file(with_body=False)

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path.startswith("/api/models/"):
                hub.num_requests += 1
                owned = re.fullmatch(r"/api/models/([^/]+/[^/]+)/revision/(.+)", path)
                if owned is None or owned[1] != hub.name:
                    self._refuse(404, "RepoNotFound")
                elif owned[2] not in ("main", COMMIT):
                    self._refuse(404, "RevisionNotFound")
                else:
                    self._answer(200, json.dumps(hub.info).encode(), {"Content-Type": "application/json"})
                return
            self._file(with_body=True)

        def _file(self, *, with_body: bool) -> None:
            hub.num_requests += 1
            asked = re.fullmatch(rf"/{re.escape(hub.name)}/resolve/([^/]+)/(.+)", self.path)
            if hub.is_gated:
                self._refuse(403, "GatedRepo")
                return
            if asked is None or not (hub.folder / asked[2]).is_file():
                self._refuse(404, "EntryNotFound")
                return
            file = hub.folder / asked[2]
            is_large = file.stat().st_size >= LARGE_BYTES
            content = file.read_bytes()
            tag = _sha256(file) if is_large else _git_hash(content)
            headers = {"ETag": f'"{tag}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
            if not with_body:
                self._answer(200, b"", {**headers, "Content-Length": str(len(content))})
                return
            wanted = self.headers.get("Range")
            hub.gets.append((asked[2], wanted))
            if is_large and hub.status is not None:
                self._refuse(hub.status, "")
                return
            first = int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted else 0
            if wanted:
                headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
            headers["Content-Length"] = str(len(content) - first)
            sent = content[first:]
            if is_large and hub.cut_after:
                sent = sent[: hub.cut_after.pop(0)]
                self.close_connection = True
            self._answer(206 if wanted else 200, sent, headers)

        def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for key, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(body)

        def _refuse(self, status: int, code: str) -> None:
            self._answer(status, b"", {"X-Error-Code": code} if code else {})

    return Handler


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
