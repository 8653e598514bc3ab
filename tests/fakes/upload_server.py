"""A registry on loopback that takes uploads, and behaves as the many do: faults on request."""

import json
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from modelpack.digest import of as digest_of

_UPLOAD = re.compile(r"/v2/(.+)/blobs/uploads/(?:([0-9]+))?")
_BLOB = re.compile(r"/v2/(.+)/blobs/(sha256:[0-9a-f]{64})")
_MANIFEST = re.compile(r"/v2/(.+)/manifests/(.+)")


@dataclass
class UploadServer:
    """What it has, how it behaves, and what it was asked."""

    address: str = ""
    blobs: dict[str, dict[str, bytes]] = field(default_factory=dict)
    "by repository and digest"
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    "media type and content by path"
    uploads: dict[str, bytearray] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    "of every answer to POST"
    statuses: dict[str, list[int]] = field(default_factory=dict)
    "by method: answered first, one for each request, after its body was read; 0: all is well"
    keep: list[int] = field(default_factory=list)
    "bytes of a PATCH that are kept before the connection is cut, one for each"
    forgets: bool = False
    "an upload is lost with the connection"
    elsewhere: str = ""
    "address of another host to which uploads are led"
    tokens: bool = False
    "wants a token, which is good for `uses` requests"
    uses: int = 1000
    left: dict[str, int] = field(default_factory=dict)
    mounts: bool = True
    least: int = 0
    "bytes of a chunk that is not the last one; what follows a smaller one is refused"
    short: set[str] = field(default_factory=set)
    "uploads whose last chunk was smaller"
    conditions: bool = False
    "heeds If-Match and If-None-Match"
    rivals: dict[str, list[tuple[str, tuple[str, bytes]]]] = field(default_factory=dict)
    "what others write under a path: `before` or `after` each of our writings, which they are"
    overwritten: int = 0
    "how often what is written under a tag of referrers is gone at once"
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    "method, path with query, headers with lowercase names"

    def methods(self) -> list[str]:
        """Return what was asked, in order, but not who may ask."""
        return [m for m, p, _ in self.asked if "/token" not in p and p != "/v2/"]

    def chunks(self) -> list[str]:
        """Return the ranges that were sent."""
        return [h.get("content-range", "") for m, _, h in self.asked if m == "PATCH"]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    state: UploadServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that hang up, nor of connections that were cut on request."""
        if not isinstance(sys.exception(), OSError | ValueError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def state(self) -> UploadServer:
        assert isinstance(self.server, _Server)
        return self.server.state

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self.answer()

    def do_HEAD(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.answer()

    def do_PATCH(self) -> None:
        self.answer()

    def do_PUT(self) -> None:
        self.answer()

    def answer(self) -> None:  # noqa: PLR0911  one for each kind of path
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.state.asked.append((self.command, self.path, headers))
        length = int(headers.get("content-length", "0"))
        if self.command == "PATCH" and self.state.keep:
            return self.cut(min(self.state.keep.pop(0), length))
        body = self.rfile.read(length)
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        if parts.path == "/token":
            name = f"token-{len(self.state.left)}"
            self.state.left[name] = self.state.uses
            return self.send(200, {}, json.dumps({"token": name}).encode())
        if parts.path == "/v2/":
            return self.send(200, {}, b"{}")
        if not self.allowed(headers):
            realm = f'Bearer realm="http://{self.state.address}/token"'
            return self.send(401, {"WWW-Authenticate": realm}, b"")
        planned = self.state.statuses.get(self.command, [])
        if planned and (status := planned.pop(0)):
            return self.send(status, {"Retry-After": "7"}, b"")
        if found := _UPLOAD.fullmatch(parts.path):
            return self.upload(found[1], found[2] or "", query, body)
        if found := _BLOB.fullmatch(parts.path):
            data = self.state.blobs.get(found[1], {}).get(found[2])
            return self.send(404 if data is None else 200, {}, data or b"")
        if _MANIFEST.fullmatch(parts.path):
            return self.manifest(parts.path, headers, body)
        return self.send(404, {}, b"")

    def allowed(self, headers: dict[str, str]) -> bool:
        if not self.state.tokens or headers.get("host") != self.state.address:
            return True
        name = headers.get("authorization", "").removeprefix("Bearer ")
        self.state.left[name] = self.state.left.get(name, 0) - 1
        return self.state.left[name] >= 0

    def cut(self, kept: int) -> None:
        found = _UPLOAD.fullmatch(urlsplit(self.path).path)
        assert found
        data = self.rfile.read(kept)
        if self.state.forgets:
            self.state.uploads.pop(found[2])
        else:
            self.state.uploads[found[2]] += data
        self.close_connection = True
        self.connection.close()

    def upload(  # noqa: PLR0911  one for each method
        self, name: str, number: str, query: dict[str, str], body: bytes
    ) -> None:
        state = self.state
        blobs = state.blobs.setdefault(name, {})
        if self.command == "POST":
            if state.mounts and query.get("mount", "") in state.blobs.get(
                query.get("from", ""), {}
            ):
                blobs[query["mount"]] = state.blobs[query["from"]][query["mount"]]
                return self.send(201, {}, b"")
            number = str(len(state.asked))
            state.uploads[number] = bytearray()
            least = {"OCI-Chunk-Min-Length": str(state.least)} if state.least else {}
            return self.send(202, {**self.location(name, number), **least, **state.headers}, b"")
        if number not in state.uploads:
            return self.send(404, {}, b"")
        held = state.uploads[number]
        if self.command == "GET":
            reached = {"Range": f"0-{max(len(held) - 1, 0)}"}
            return self.send(204, {**self.location(name, number), **reached}, b"")
        if self.command == "PATCH":
            start = self.headers.get("Content-Range", "").partition("-")[0]
            if (start and int(start) != len(held)) or number in state.short:
                return self.send(416, {}, b"")
            if len(body) < state.least:
                state.short.add(number)
            held += body
            reached = {"Range": f"0-{len(held) - 1}"}
            return self.send(202, {**self.location(name, number), **reached}, b"")
        held += body
        if digest_of(bytes(held)) != query["digest"]:
            return self.send(400, {}, b'{"errors": [{"code": "DIGEST_INVALID"}]}')
        blobs[query["digest"]] = bytes(state.uploads.pop(number))
        return self.send(201, {}, b"")

    def location(self, name: str, number: str) -> dict[str, str]:
        path = f"/v2/{name}/blobs/uploads/{number}?at={len(self.state.asked)}"
        there = f"http://{self.state.elsewhere}" if self.state.elsewhere else ""
        return {"Location": f"{there}{path}"}

    def manifest(self, path: str, headers: dict[str, str], body: bytes) -> None:
        state = self.state
        if self.command == "PUT":
            when, rival = (state.rivals.get(path) or [("", ("", b""))]).pop(0)
            if when == "before":
                state.manifests[path] = rival
            if state.conditions and not self.holds(path, headers):
                return self.send(412, {}, b"")
            if "/sha256-" in path and state.overwritten:
                state.overwritten -= 1
            else:
                state.manifests[path] = (headers["content-type"], body)
            if when == "after":
                state.manifests[path] = rival
            return self.send(201, {}, b"")
        kind, data = state.manifests.get(path, ("", b""))
        version = {"ETag": f'"{digest_of(data)}"'} if state.conditions else {}
        return self.send(
            200 if data else 404, {"Content-Type": kind, **version} if data else {}, data
        )  # fmt: skip

    def holds(self, path: str, headers: dict[str, str]) -> bool:
        _, data = self.state.manifests.get(path, ("", b""))
        wanted = headers.get("if-match", "")
        return not (data and "if-none-match" in headers) and wanted in ("", f'"{digest_of(data)}"')

    def send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@contextmanager
def running_uploads(state: UploadServer | None = None) -> Iterator[UploadServer]:
    """Start one, or another address of one that runs."""
    server = _Server(("127.0.0.1", 0), _Handler)
    address = f"127.0.0.1:{server.server_address[1]}"
    server.state = state or UploadServer(address=address)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.state if state is None else UploadServer(address=address)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
