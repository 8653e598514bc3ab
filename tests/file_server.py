"""Files on loopback, with ranges, versions and faults: a web server, and a hub of models."""

import datetime as dt
import hashlib
import ipaddress
import json
import re
import ssl
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

TOKEN = "hf_right"
COMMITS = ("1" * 40, "2" * 40)


@dataclass
class Answer:
    """What is sent."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    "bytes after which the connection is cut"


@dataclass
class FileServer:
    """What it has, what it was asked, and what goes wrong."""

    files: dict[str, bytes] = field(default_factory=dict)
    "by path, with the first slash"
    url: str = ""
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    "method, path, headers with lowercase names"
    cuts: dict[str, list[int]] = field(default_factory=dict)
    "bytes after which the connection is cut, one for each GET of a path"
    statuses: dict[str, list[int]] = field(default_factory=dict)
    "answered first, one for each request of a path"
    user: str = ""
    "`name:password` that is wanted; empty: everybody may read"
    ranges: bool = True
    etags: bool = True
    lengths: dict[str, int] = field(default_factory=dict)
    "the length that HEAD says of a path, instead of the true one"
    waiting: dict[str, threading.Event] = field(default_factory=dict)
    "a GET of the path sends half, and the rest when the event is set"

    def answer(self, method: str, path: str, headers: dict[str, str]) -> Answer:
        """Return the answer to one request."""
        if self.user and not headers.get("authorization", "").startswith("Basic "):
            return Answer(status=401)
        return self.file(method, path, headers)

    def file(self, method: str, path: str, headers: dict[str, str]) -> Answer:
        if statuses := self.statuses.get(path):
            return Answer(status=statuses.pop(0))
        data = self.files.get(path)
        if data is None:
            return Answer(status=404)
        etag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
        common = {"ETag": etag} if self.etags else {}
        cuts = self.cuts.get(path) if method == "GET" else None
        cut = cuts.pop(0) if cuts else None
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", headers.get("range", ""))
        same = headers.get("if-range", etag) == etag
        if method == "HEAD" and path in self.lengths:
            return Answer(headers={**common, "Content-Length": str(self.lengths[path])})
        if asked and self.ranges and same:
            first = int(asked[1])
            last = min(int(asked[2] or len(data) - 1), len(data) - 1)
            if first >= len(data):
                return Answer(status=416)
            span = {"Content-Range": f"bytes {first}-{last}/{len(data)}"}
            return Answer(206, data[first : last + 1], {**common, **span}, cut)
        return Answer(200, data, common, cut)

    def gets(self, part: str = "") -> list[str]:
        """Return the paths of all GETs that contain `part`, in order."""
        return [path for method, path, _ in self.asked if method == "GET" and part in path]


@dataclass
class HubServer(FileServer):
    """A hub: repositories of models at commits, large files at another host as LFS has them."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    "files by commit of the one repository `acme/tiny`"
    branches: dict[str, str] = field(default_factory=dict)
    large: int = 1000
    "bytes from which on a file is in LFS"
    gated: bool = False
    claims: dict[str, str] = field(default_factory=dict)
    "the sha256 that the tree says of a path, instead of the true one"
    names: dict[str, str] = field(default_factory=dict)
    "what the tree calls a path"
    nonsense: Any = None
    "one more entry of the tree"

    def answer(self, method: str, path: str, headers: dict[str, str]) -> Answer:
        path = unquote(urlsplit(path).path)
        if path.startswith("/cdn/"):  # as on the real one, which takes no token
            assert "authorization" not in headers
            return self.file(method, path, headers)
        if self.gated and headers.get("authorization") != f"Bearer {TOKEN}":
            return Answer(403, b"{}", {"X-Error-Code": "GatedRepo"})
        if match := re.fullmatch(r"/api/models/acme/tiny/(revision|tree)/([^/]+)", path):
            return self._about(match[1], match[2])
        if match := re.fullmatch(r"/acme/tiny/resolve/([^/]+)/(.+)", path):
            return self._file(method, match[1], match[2], headers)
        return Answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def _about(self, what: str, revision: str) -> Answer:
        commit = self.branches.get(revision, revision)
        if commit not in self.commits:
            return Answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        if what == "revision":
            value: Any = {"id": "acme/tiny", "modelId": "acme/tiny", "sha": commit, "siblings": [],
                          "tags": [], "private": False, "downloads": 0, "likes": 0}  # fmt: skip
        else:
            value = [self._entry(path, data) for path, data in self.commits[commit].items()]
            value.append({"type": "directory", "path": "folder", "oid": "0" * 40, "size": 0})
            value += [self.nonsense] if self.nonsense else []
        return Answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _entry(self, path: str, data: bytes) -> dict[str, Any]:
        blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        entry = {"type": "file", "path": self.names.get(path, path), "oid": blob,
                 "size": len(data)}  # fmt: skip
        if len(data) >= self.large:
            sha256 = self.claims.get(path, hashlib.sha256(data).hexdigest())
            entry["lfs"] = {"oid": sha256, "size": len(data), "pointerSize": 134}
        return entry

    def _file(self, method: str, commit: str, path: str, headers: dict[str, str]) -> Answer:
        data = self.commits.get(commit, {}).get(path)
        if data is None:
            return Answer(404, b"", {"X-Error-Code": "EntryNotFound"})
        about = {"X-Repo-Commit": commit, "X-Linked-Size": str(len(data))}
        if len(data) >= self.large:
            sha256 = hashlib.sha256(data).hexdigest()
            self.files.setdefault(f"/cdn/{sha256}", data)
            other = self.url.replace("127.0.0.1", "localhost")
            return Answer(302, b"", {**about, "X-Linked-ETag": f'"{sha256}"',
                                     "Location": f"{other}/cdn/{sha256}"})  # fmt: skip
        self.files[f"/{commit}/{path}"] = data
        found = self.file(method, f"/{commit}/{path}", headers)
        found.headers.update(about)
        return found


def _handler(server: FileServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            path = urlsplit(self.path).path
            server.asked.append((self.command, path, headers))
            answer = server.answer(self.command, self.path, headers)
            self.send_response(answer.status)
            length = {"Content-Length": str(len(answer.body))}
            for name, value in {**length, **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "HEAD":
                return
            with suppress(OSError):
                self._send(path, answer)

        do_HEAD = do_GET  # noqa: N815  the name that the standard library calls

        def _send(self, path: str, answer: Answer) -> None:
            body = answer.body if answer.cut is None else answer.body[: answer.cut]
            if path in server.waiting:
                self.wfile.write(body[: len(body) // 2])
                self.wfile.flush()
                server.waiting[path].wait(60)
                body = body[len(body) // 2 :]
            self.wfile.write(body)
            if answer.cut is not None:
                self.close_connection = True

        def log_message(self, *arguments: object) -> None:
            pass

    return Handler


class _Quiet(ThreadingHTTPServer):
    """Says nothing of clients that go away, which is what those do that were refused something."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


@contextmanager
def serving(server: FileServer, *, tls: Path | None = None) -> Iterator[FileServer]:
    """Answer for a while; with `tls`, a folder, by https with a certificate that is put there."""
    listening = _Quiet(("127.0.0.1", 0), _handler(server))
    scheme = "http"
    if tls is not None:
        scheme = "https"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate(tls))
        listening.socket = context.wrap_socket(listening.socket, server_side=True)
    server.url = f"{scheme}://127.0.0.1:{listening.server_address[1]}"
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        for event in server.waiting.values():
            event.set()
        listening.shutdown()
        listening.server_close()
        thread.join()


def certificate(folder: Path) -> tuple[Path, Path]:
    """Write a certificate of this machine that vouches for itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )  # fmt: skip
    return paths
