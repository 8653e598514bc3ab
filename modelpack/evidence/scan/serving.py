"""A registry with one image, on this machine's loopback, for as long as a scanner reads it.

Links into a layout would not do: Trivy refuses symbolic ones, and a hard one changes the file's
ctime, by which builds know that a file did not change. So nothing is copied, and nothing touched.

Source: OCI distribution-spec 1.1, "Pulling manifests", "Pulling blobs".
"""

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from modelpack.digest import hex_of
from modelpack.errors import ModelpackError, Unavailable
from modelpack.evidence.scan.view import View
from modelpack.oci.blobs import check_content, pieces_of
from modelpack.oci.content import blocks
from modelpack.oci.hashing import Sha256
from modelpack.oci.layer import Blob, Remote

_POLL: Final = 0.02
"seconds between two looks whether to stop"
_BLOCK: Final = 1 << 20
"bytes"


class _Registry(ThreadingHTTPServer):
    """Knows the blobs by path; who does not know the name, which nobody can guess, gets none."""

    daemon_threads = True

    def __init__(self, view: View) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.name = f"{secrets.token_hex(16)}/image"
        place = f"/v2/{self.name}"
        self.blobs = {
            f"{place}/blobs/{blob.digest}": blob for blob in (view.config, *view.layers)
        } | {f"{place}/manifests/{view.manifest.digest}": view.manifest}
        self.error: ModelpackError | None = None

    def handle_error(self, request: object, client_address: object) -> None:
        """Stay silent: a reader that has enough hangs up."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Registry

    def do_GET(self) -> None:
        """Answer with a document or blob."""
        if blob := self._head():
            try:
                self._send(blob)
            except ModelpackError as error:
                self.server.error = error
                self.close_connection = True

    def do_HEAD(self) -> None:
        """Answer with what GET says before the content."""
        self._head()

    def _head(self) -> Blob | None:
        blob = self.server.blobs.get(self.path)
        known = blob is not None or self.path == "/v2/"
        self.send_response(HTTPStatus.OK if known else HTTPStatus.NOT_FOUND)
        self.send_header("Content-Length", str(blob.size if blob else 0))
        if blob:
            self.send_header("Content-Type", blob.descriptor.media_type)
            self.send_header("Docker-Content-Digest", blob.digest)
        self.end_headers()
        return blob

    def _send(self, blob: Blob) -> None:
        whole, size, last = Sha256(), 0, b""
        for block in _blocks(blob):
            self.wfile.write(last)
            whole.take(memoryview(block), size)
            size, last = size + len(block), block
        # Nobody gets the end of what is damaged, and so nobody takes it for whole.
        check_content(blob, hex_of(whole.digest), size)
        self.wfile.write(last)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Stay silent."""


def _blocks(blob: Blob) -> Iterator[bytes]:
    """Yield the content, from wherever it is."""
    if isinstance(blob.origin, Remote):
        return _fetched(blob.origin, blob)
    return blocks(pieces_of(blob), _BLOCK)


def _fetched(origin: Remote, blob: Blob) -> Iterator[bytes]:
    """Yield what a registry sends; as long as every try brings some bytes, another one follows."""
    position, before = 0, -1
    while position < blob.size:
        try:
            for chunk in origin.place.chunks(blob.descriptor, position, blob.size - position):
                position += len(chunk)
                yield chunk
            break
        except Unavailable:
            if position <= before:
                raise
            before = position


@contextmanager
def served(view: View) -> Iterator[str]:
    """Yield the name under which `view` can be pulled over HTTP, by this machine only.

    Raises what was wrong with a blob that was read, such as that it is damaged.
    """
    with _Registry(view) as registry:
        thread = threading.Thread(target=registry.serve_forever, args=(_POLL,), daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{registry.server_port}/{registry.name}@{view.manifest.digest}"
        except ModelpackError as error:
            if registry.error:
                raise registry.error from error
            raise
        finally:
            registry.shutdown()
            thread.join()
        if registry.error:
            raise registry.error
