"""Debian packages, indexes and libraries made in code, and a server that has them."""

import gzip
import hashlib
import io
import lzma
import struct
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from modelpack.lock import DebianPackage

NOW = 1_795_250_000
"2026-11-21"
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".xz": lzma.compress,
    ".gz": lambda data: gzip.compress(data, mtime=0),
}


def tar(*members: tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for member in members:
            info, content = member if isinstance(member, tuple) else (member, b"")
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def file(
    path: str, content: bytes = b"", *, mode: int = 0o644, owner: tuple[int, int] = (0, 0)
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(path)
    info.size, info.mode = len(content), mode
    info.uid, info.gid = owner
    return info, content


def special(path: str, kind: bytes, *, target: str = "", mode: int = 0o755) -> tarfile.TarInfo:
    info = tarfile.TarInfo(path)
    info.type, info.linkname, info.mode = kind, target, mode
    return info


def folder(path: str, *, mode: int = 0o755) -> tarfile.TarInfo:
    return special(path, tarfile.DIRTYPE, mode=mode)


def symlink(path: str, target: str) -> tarfile.TarInfo:
    return special(path, tarfile.SYMTYPE, target=target, mode=0o777)


def ar(*members: tuple[str, bytes]) -> bytes:
    out = b"!<arch>\n"
    for name, content in members:
        out += b"%-16s%-12d%-6d%-6d%-8s%-10d`\n" % (name.encode(), 0, 0, 0, b"100644", len(content))
        out += content + b"\n" * (len(content) % 2)
    return out


def deb(
    name: str = "hello",
    *members: tarfile.TarInfo | tuple[tarfile.TarInfo, bytes],
    version: str = "1.0-1",
    architecture: str = "amd64",
    control: Mapping[str, bytes] = {},
    fields: str = "",
    suffix: str = ".xz",
) -> bytes:
    """A package; `control` are further files of its control archive, `fields` lines of one."""
    text = f"Package: {name}\nVersion: {version}\nArchitecture: {architecture}\n{fields}"
    files = {"control": text.encode(), **control}
    return ar(
        ("debian-binary", b"2.0\n"),
        (
            f"control.tar{suffix}",
            COMPRESS[suffix](tar(*(file(f"./{n}", c) for n, c in files.items()))),
        ),
        (f"data.tar{suffix}", COMPRESS[suffix](tar(folder("./"), *members))),
    )


def locked(content: bytes, *, name: str = "hello", **changes: Any) -> DebianPackage:
    values = {
        "name": name,
        "version": "1.0-1",
        "architecture": "amd64",
        "source": name,
        "archive": "debian",
        "suite": "trixie",
        "path": f"pool/main/h/{name}/{name}_1.0-1.deb",
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        **changes,
    }
    return DebianPackage(**values)


def library(
    soname: str = "",
    *,
    needed: tuple[str, ...] = (),
    runpath: str = "",
    rpath: str = "",
    machine: int = 62,
) -> bytes:
    """A 64-bit ELF shared object that has a dynamic section and nothing else."""
    strings, tags = b"\0", []
    texts = ((14, soname), *((1, name) for name in needed), (15, rpath), (29, runpath))
    for tag, text in texts:
        if text:
            tags.append((tag, len(strings)))
            strings += text.encode() + b"\0"
    start = 64 + 2 * 56
    size = 16 * (len(tags) + 2)
    tags += [(5, start + size), (0, 0)]
    dynamic = b"".join(struct.pack("<qQ", *tag) for tag in tags)
    end = start + size + len(strings)
    head = struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 3, machine, 1, 0, 64, 0, 0, 64, 56, 2, 64, 0, 0
    )
    load = struct.pack("<IIQQQQQQ", 1, 4, 0, 0, 0, end, end, 4096)
    section = struct.pack("<IIQQQQQQ", 2, 4, start, start, start, size, size, 8)
    return head + load + section + dynamic + strings


@dataclass
class Repository:
    """A signed archive of packages in memory; `files` is what the server has, by path."""

    signer: Any
    files: dict[str, bytes] = field(default_factory=dict)
    stanzas: dict[tuple[str, str], str] = field(default_factory=dict)
    architectures: tuple[str, ...] = ("amd64",)

    def add(
        self,
        name: str,
        content: bytes,
        *,
        suite: str = "trixie",
        version: str = "1.0-1",
        fields: str = "",
        architecture: str = "",
    ) -> None:
        """Put a package into the indexes of all architectures, or of one."""
        for each in (architecture,) if architecture else self.architectures:
            self._add(name, content, suite, version, fields, each)

    def _add(
        self, name: str, content: bytes, suite: str, version: str, fields: str, architecture: str
    ) -> None:
        archive = "debian-security" if suite.endswith("-security") else "debian"
        other = "" if architecture == "amd64" else f"_{architecture}"
        path = f"pool/main/{name[0]}/{name}/{name}_{version.replace(':', '_')}{other}.deb"
        self.files[f"/{archive}/{path}"] = content
        key = (archive, suite + other)
        self.stanzas[key] = self.stanzas.get(key, "") + (
            f"Package: {name}\nVersion: {version}\nArchitecture: {architecture}\n{fields}"
            f"Filename: {path}\nSize: {len(content)}\n"
            f"SHA256: {hashlib.sha256(content).hexdigest()}\n\n"
        )

    def publish(self, archive: str, suite: str, *, fields: Mapping[str, str] = {}) -> None:
        """Sign the index of `suite`; `fields` change or (when empty) leave out some of it."""
        values = {
            "Origin": "Debian",
            "Label": "Debian-Security" if archive == "debian-security" else "Debian",
            "Suite": "stable",
            "Codename": suite,
            "Date": "Fri, 20 Nov 2026 08:30:00 UTC",
            "Valid-Until": "Fri, 27 Nov 2026 08:30:00 UTC",
            "Acquire-By-Hash": "yes",
            **fields,
        }
        text = "".join(f"{name}: {value}\n" for name, value in values.items() if value)
        text += "SHA256:\n"
        root = f"/{archive}/dists/{suite}"
        for architecture in self.architectures:
            key = (archive, suite if architecture == "amd64" else f"{suite}_{architecture}")
            packed = lzma.compress(self.stanzas.get(key, "").encode())
            digest = hashlib.sha256(packed).hexdigest()
            folder = f"main/binary-{architecture}"
            text += f" {digest} {len(packed):8} {folder}/Packages.xz\n"
            self.files[f"{root}/{folder}/by-hash/SHA256/{digest}"] = packed
            self.files[f"{root}/{folder}/Packages.xz"] = packed
        self.files[f"{root}/InRelease"] = self.sign(text.encode())

    def publish_all(self, codename: str = "trixie") -> None:
        self.publish("debian", codename)
        self.publish("debian", f"{codename}-updates")
        self.publish("debian-security", f"{codename}-security")

    def sign(self, text: bytes) -> bytes:
        import pysequoia

        return bytes(pysequoia.sign(self.signer.signer(), text, mode=pysequoia.SignatureMode.CLEAR))


@contextmanager
def serve(
    answer: Callable[[str, Mapping[str, str]], tuple[int, Mapping[str, str], bytes]],
    *,
    host: str = "127.0.0.1",
) -> Iterator[str]:
    """Serve what `answer` makes of path and headers: status, headers, body. Yields the root."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = answer(self.path, dict(self.headers.items()))
            # Not `send_response`, which adds a `Date` of its own.
            self.send_response_only(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer((host, 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://{host}:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def serve_files(files: Mapping[str, bytes]) -> Iterator[str]:
    """Serve `files` by path, else 404."""

    def answer(path: str, headers: Mapping[str, str]) -> tuple[int, Mapping[str, str], bytes]:
        return (200, {}, files[path]) if path in files else (404, {}, b"")

    with serve(answer) as root:
        yield root
