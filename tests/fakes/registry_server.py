"""A registry on loopback: as much of OCI distribution as pulling needs, and faults on request."""

import base64
import json
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from modelpack.digest import of as digest_of
from modelpack.oci.manifest import parse


@dataclass
class Fault:
    """What goes wrong with the answers for one path."""

    statuses: list[int] = field(default_factory=list)
    "answered first, one for each request"
    cuts: list[int] = field(default_factory=list)
    "bytes after which the connection is cut, one for each request"
    content: bytes | None = None
    "sent in the place of the true one"
    location: str = ""
    "redirected to"
    headers: dict[str, str] = field(default_factory=dict)
    together: threading.Barrier | None = None
    "answered when as many requests are there as it waits for; with 500 when they do not come"


@dataclass
class RegistryServer:
    """What it has, how it behaves, and what it was asked."""

    address: str = ""
    content: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    "media type and bytes by path below /v2/"
    faults: dict[str, Fault] = field(default_factory=dict)
    auth: str = ""
    "`basic`, `bearer`, or nothing; the user is `me`, the password `right`"
    ranges: bool = True
    realm: str = ""
    "of tokens; its own address when empty"
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    "method, path with query, headers with lowercase names"
    tokens: int = 0
    expired: set[str] = field(default_factory=set)

    def put(self, repository: str, manifest: bytes, *tags: str, blobs: tuple[bytes, ...]) -> str:
        """Keep an image; return its digest."""
        for blob in blobs:
            self.content[f"{repository}/blobs/{digest_of(blob)}"] = ("text/plain", blob)
        media_type = parse(manifest).media_type
        for name in (digest_of(manifest), *tags):
            self.content[f"{repository}/manifests/{name}"] = (media_type, manifest)
        return digest_of(manifest)

    def paths(self, method: str = "GET") -> list[str]:
        """Return the paths that were asked for, but not who may ask."""
        return [p for m, p, _ in self.asked if m == method and p.count("/") > 2]


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # closing waits for them
    registry: RegistryServer

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__(address, _Handler)
        self.connections: list[socket.socket] = []

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self.connections.append(connection)
        return connection, address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that go away."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def hang_up(self) -> None:
        """End the connections that clients keep open."""
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def registry(self) -> RegistryServer:
        assert isinstance(self.server, _Server)
        return self.server.registry

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self.answer()

    def do_HEAD(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.answer()

    def answer(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.registry.asked.append((self.command, self.path, headers))
        length = int(headers.get("content-length", "0"))
        form = self.rfile.read(length).decode()
        parts = urlsplit(self.path)
        path = parts.path.removeprefix("/v2/")
        fault = self.registry.faults.get(path, Fault())
        if parts.path == "/token":
            self.token(parse_qs(parts.query), parse_qs(form), headers)
        elif fault.statuses:
            self.send(fault.statuses.pop(0), fault.headers, b"")
        elif fault.together and not _all_came(fault.together):
            self.send(500, {}, b"")
        elif fault.location:
            self.send(307, {"Location": fault.location}, b"")
        elif not self.allowed(headers):
            self.challenge(path)
        else:
            self.found(path, fault, headers)

    def found(self, path: str, fault: Fault, headers: dict[str, str]) -> None:
        if not path:
            return self.send(200, {}, b"{}")
        if path not in self.registry.content:
            document = {"errors": [{"code": "UNKNOWN", "message": "there is no such thing"}]}
            return self.send(404, {}, json.dumps(document).encode())
        media_type, data = self.registry.content[path]
        data = data if fault.content is None else fault.content
        return self.content(media_type, data, headers.get("range", ""), fault)

    def content(self, media_type: str, data: bytes, wanted: str, fault: Fault) -> None:
        status, sent = 200, {"Content-Type": media_type, **fault.headers}
        if wanted and self.registry.ranges:
            first = int(wanted.removeprefix("bytes=").partition("-")[0])
            if first >= len(data):
                return self.send(416, {}, b"")
            status = 206
            sent["Content-Range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
            data = data[first:]
        return self.send(status, sent, data, cut=fault.cuts.pop(0) if fault.cuts else None)

    def allowed(self, headers: dict[str, str]) -> bool:
        given = headers.get("authorization", "")
        if self.registry.auth == "basic":
            return given == _basic("me", "right")
        if self.registry.auth == "bearer":
            token = given.removeprefix("Bearer ")
            return token.startswith("token-") and token not in self.registry.expired
        return True

    def challenge(self, path: str) -> None:
        repository = path.partition("/blobs/")[0].partition("/manifests/")[0]
        realm = self.registry.realm or f"http://{self.registry.address}/token"
        ways = {
            "basic": 'Basic realm="a, b"',
            "bearer": f'Bearer realm="{realm}",service="here, there",'
            f'scope="repository:{repository}:pull"',
        }
        self.send(401, {"WWW-Authenticate": ways[self.registry.auth]}, b"")

    def token(
        self, query: dict[str, list[str]], form: dict[str, list[str]], headers: dict[str, str]
    ) -> None:
        given = headers.get("authorization", "")
        right = given in ("", _basic("me", "right"))
        if form:
            right = form["refresh_token"] == ["identity"]
        asked = form or query
        if not right or asked.get("service") != ["here, there"] or "scope" not in asked:
            return self.send(401, {}, b"")
        self.registry.tokens += 1
        key = "access_token" if form else "token"
        body = json.dumps({key: f"token-{self.registry.tokens}"}).encode()
        return self.send(200, {}, body)

    def send(
        self, status: int, headers: dict[str, str], body: bytes, *, cut: int | None = None
    ) -> None:
        self.send_response_only(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body if cut is None else body[:cut])
        if cut is not None:
            self.close_connection = True


@contextmanager
def running_registry(host: str = "127.0.0.1") -> Iterator[RegistryServer]:
    """Start one that is empty and open to all."""
    registry = RegistryServer()
    server = _Server((host, 0))
    server.registry = registry
    registry.address = f"{host}:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        thread.join()
        server.hang_up()
        server.server_close()


def _all_came(barrier: threading.Barrier) -> bool:
    try:
        barrier.wait(timeout=10)
    except threading.BrokenBarrierError:
        return False
    return True


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
