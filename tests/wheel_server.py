"""A package index on the loopback interface that counts the bytes of wheels it gives away."""

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class WheelServer(ThreadingHTTPServer):
    """The simple API (PEP 503) of the wheels in a folder, without their metadata (PEP 658)."""

    def __init__(self, folder: Path, *, ranges: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder, self.ranges, self.sent = folder, ranges, 0

    @property
    def url(self) -> str:
        """The index for pip."""
        return f"http://127.0.0.1:{self.server_address[1]}/simple"


class _Handler(BaseHTTPRequestHandler):
    server: WheelServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if match := re.fullmatch(r"/simple/([a-z0-9-]+)/", self.path):
            self._page(match[1])
        else:
            self._wheel(self.server.folder / Path(self.path).name)

    do_HEAD = do_GET  # noqa: N815  the name that the standard library calls

    def _page(self, name: str) -> None:
        files = sorted(self.server.folder.glob(f"{name.replace('-', '_')}-*.whl"))
        links = [
            f'<a href="/files/{file.name}#sha256={hashlib.sha256(file.read_bytes()).hexdigest()}">'
            f"{file.name}</a>"
            for file in files
        ]
        self._answer(200, "\n".join(links).encode(), {"Content-Type": "text/html"})

    def _wheel(self, path: Path) -> None:
        if not path.is_file():
            self._answer(404, b"", {})
            return
        data = path.read_bytes()
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        headers = {"Accept-Ranges": "bytes" if self.server.ranges else "none"}
        if asked and self.server.ranges:
            first, last = int(asked[1]), int(asked[2] or len(data) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
            self._answer(206, data[first : last + 1], headers)
        else:
            self._answer(200, data, headers)

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)
            if self.path.startswith("/files/"):
                self.server.sent += len(body)

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def wheel_server(folder: Path, *, ranges: bool = True) -> Iterator[WheelServer]:
    """Serve the wheels in `folder` for a while."""
    server = WheelServer(folder, ranges=ranges)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
