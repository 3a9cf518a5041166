"""A model hub that speaks the wire: a repository's listing at a revision, its files with ranges, and faults on demand.

    with FakeHub({"config.json": b"{}", "model.safetensors": blob}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)

Large files (`lfs`) are listed with their SHA-256, small ones with git's blob name, as the hub does.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass(slots=True)
class Asked:
    """One request for a file: its name, and the byte from which it was asked."""

    name: str
    start: int


@dataclass
class FakeHub:
    """One repository, `repo`, at one commit.  The knobs may be turned while it serves."""

    files: Mapping[str, bytes]
    repo: str = "maker/tiny"
    # Cut the connection after so many bytes of a body, this many times.
    cut_after: int = 0
    cuts: int = 0
    # Serve other bytes than were listed, of the same length.
    corrupt: str = ""
    # Refuse what was not asked with a token.
    gated: bool = False
    # Wait in the middle of a shard until a test says so, to be killed meanwhile.
    stall: threading.Event | None = None
    asked: list[Asked] = field(default_factory=list)
    started: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> FakeHub:
        hub = self

        class Handler(_Handler):
            fake = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self.stall is not None:
            self.stall.set()
        self._server.shutdown()
        self._server.server_close()

    def listing(self) -> bytes:
        siblings = []
        for name, content in self.files.items():
            one: dict[str, object] = {
                "rfilename": name,
                "size": len(content),
                "blobId": hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest(),
            }
            if name.endswith((".safetensors", "tokenizer.json")):
                sha = hashlib.sha256(content).hexdigest()
                one["lfs"] = {"size": len(content), "sha256": sha, "pointerSize": 134}
            siblings.append(one)
        return json.dumps({"id": self.repo, "sha": COMMIT, "siblings": siblings}).encode()


class _Handler(BaseHTTPRequestHandler):
    fake: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """A test's output is not its log."""

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        fake = self.fake
        if fake.gated and "authorization" not in {k.lower() for k in self.headers}:
            self._refuse(401, "GatedRepo")
        elif found := re.fullmatch(rf"/api/models/{re.escape(fake.repo)}/revision/(.+)", path):
            if found[1] in (COMMIT, "main"):
                self._send(200, fake.listing())
            else:
                self._refuse(404, "RevisionNotFound")
        elif found := re.fullmatch(rf"/{re.escape(fake.repo)}/resolve/{COMMIT}/(.+)", path):
            self._file(found[1])
        else:
            self._refuse(404, "RepoNotFound")

    def _file(self, name: str) -> None:
        fake = self.fake
        content = fake.files[name]
        if name == fake.corrupt:
            content = bytes(b ^ 1 for b in content)
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked else 0
        fake.asked.append(Asked(name, start))
        headers = {"ETag": '"x"'}
        if asked:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        body = content[start:]
        self._head(206 if asked else 200, len(body), headers)
        if fake.stall is not None and name.endswith(".safetensors"):
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            fake.started.set()
            fake.stall.wait()
        elif fake.cuts and len(body) > fake.cut_after:
            fake.cuts -= 1
            self.wfile.write(body[: fake.cut_after])
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(2)
        else:
            self.wfile.write(body)

    def _send(self, status: int, body: bytes) -> None:
        self._head(status, len(body), {"Content-Type": "application/json"})
        self.wfile.write(body)

    def _refuse(self, status: int, code: str) -> None:
        self._head(status, 0, {"X-Error-Code": code, "X-Error-Message": "no"})

    def _head(self, status: int, length: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(length), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
