"""The services of a Sigstore behind HTTP on loopback, with the paths that clients know."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.sigstore.certificates import pem
from tests.sigstore.stack import Sigstore, new_sigstore

Answer = tuple[int, str, bytes, Mapping[str, str]]
_JSON = "application/json"


@contextmanager
def running_sigstore(folder: Path | None = None, *, name: str = "localhost") -> Iterator[Sigstore]:
    """Serve a Sigstore of its own; `folder` gets the files that clients are given."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    sigstore = new_sigstore(f"http://{name}:{server.server_port}", folder=folder)
    server.sigstore = sigstore  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield sigstore
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, *_arguments: Any) -> None:
        pass

    def do_GET(self) -> None:
        sigstore: Sigstore = self.server.sigstore  # type: ignore[attr-defined]
        documents: dict[str, Callable[[], object]] = {
            sigstore.url + "/.well-known/openid-configuration": sigstore.issuer.discovery,
            sigstore.url + "/jwks": sigstore.issuer.keys,
            sigstore.jobs.url + "/.well-known/openid-configuration": sigstore.jobs.discovery,
            sigstore.jobs.url + "/jwks": sigstore.jobs.keys,
        }
        document = documents.get(sigstore.url + urlsplit(self.path).path)
        if document is None:
            self._send(404, _JSON, b"{}")
        else:
            self._send(200, _JSON, json.dumps(document()).encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        try:
            answer = self._answer(urlsplit(self.path).path.rstrip("/"), body)
        except Exception as error:  # noqa: BLE001  whatever is wrong is the client's to hear
            message = f"{type(error).__name__}: {error}"
            answer = (400, _JSON, json.dumps({"code": 400, "message": message}).encode(), {})
        self._send(*answer)

    def _answer(self, path: str, body: bytes) -> Answer:
        sigstore: Sigstore = self.server.sigstore  # type: ignore[attr-defined]
        if path == "/api/v1/timestamp":
            reply = sigstore.timestamps.answer(body)
            return 201, "application/timestamp-reply", reply, {}
        request = json.loads(body)
        if path == "/api/v2/signingCert":
            scheme, _, token = self.headers.get("Authorization", "").partition(" ")
            if scheme != "Bearer":
                token = request["credentials"]["oidcIdentityToken"]
            chain = [pem(item).decode() for item in sigstore.fulcio.answer(token, request)]
            content: object = {"signedCertificateEmbeddedSct": {"chain": {"certificates": chain}}}
        elif path == "/api/v2/log/entries":
            content = sigstore.rekor_v2.add(request)
        elif path == "/api/v1/log/entries":
            answer = sigstore.rekor_v1.add(request)
            (name,) = answer
            # by which Go's client finds the entry in the answer
            headers = {"ETag": name, "Location": f"{path}/{name}"}
            return 201, _JSON, json.dumps(answer).encode(), headers
        elif path == "/ct/v1/add-pre-chain":
            promise = sigstore.certificates.add_pre_chain(request["chain"])
            return 200, _JSON, json.dumps(promise).encode(), {}
        else:
            return 404, _JSON, b"{}", {}
        return 201, _JSON, json.dumps(content).encode(), {}

    def _send(
        self, status: int, kind: str, content: bytes, headers: Mapping[str, str] = {}
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
