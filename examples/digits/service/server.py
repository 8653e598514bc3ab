"""The HTTP interface: predict, health, version, metrics."""

import json
import logging
import threading
import time
from dataclasses import asdict, dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from safetensors.numpy import save

from service import MODEL, VERSION
from service.metrics import Metrics
from service.network import Network
from service.request import (
    JSON,
    TENSORS,
    Invalid,
    body_length,
    body_type,
    parse_images,
    parse_tensors,
)

GET_PATHS = frozenset({"/healthz", "/readyz", "/version", "/metrics", "/openapi.json"})
POST_PATHS = frozenset({"/predict"})

INTERFACE = Path(__file__).parents[1] / "openapi.json"

log = logging.getLogger("digits")


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildFacts:
    """What the image tells the service about itself; None outside an image."""

    weights_digest: str | None = None
    weights_verified: str | None = None
    revision: str | None = None


class Server(ThreadingHTTPServer):
    """A thread for each connection; weights load in the background."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], weights: Path, facts: BuildFacts) -> None:
        super().__init__(address, Handler)
        self.facts = facts
        self.metrics = Metrics()
        self.interface = INTERFACE.read_bytes()
        self.network: Network | None = None
        self.status = "loading"
        self.idle = threading.Condition()
        self.open_requests = 0
        threading.Thread(target=self._load, args=(weights,), daemon=True).start()

    def _load(self, weights: Path) -> None:
        try:
            network = Network.load(weights)
        except Exception:
            log.exception("cannot load the weights in %s", weights)
            self.status = "failed"
            return
        self.network = network
        self.status = "ready"
        self.metrics.ready.set(1)

    def finish(self, seconds: float) -> None:
        """Stop listening, then wait for open requests, at most `seconds`."""
        self.shutdown()
        with self.idle:
            self.idle.wait_for(lambda: self.open_requests == 0, timeout=seconds)
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    """Answer the requests of one connection."""

    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # the body does not wait until the head is acknowledged
    timeout = 10  # seconds that a client may stay silent

    def do_GET(self) -> None:
        """Answer health, version, metrics and the interface."""
        self._serve(self._get)

    def do_POST(self) -> None:
        """Answer predictions."""
        self._serve(self._post)

    def _serve(self, answer) -> None:
        started = time.perf_counter()
        path = self.path.partition("?")[0]
        with self.server.idle:
            self.server.open_requests += 1
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR
        try:
            status, content_type, body = self._answer(answer, path)
            self._send(status, content_type, body)
        except ConnectionError:
            self.close_connection = True  # the client went away
        finally:
            known = path if path in GET_PATHS | POST_PATHS else "other"
            self.server.metrics.observe(known, status, time.perf_counter() - started)
            with self.server.idle:
                self.server.open_requests -= 1
                self.server.idle.notify_all()

    def _answer(self, answer, path: str) -> tuple[int, str, bytes]:
        try:
            return answer(path)
        except Invalid as error:
            # The body may not have been read: what follows is no request.
            self.close_connection = True
            return error.status, JSON, _encode({"detail": error.detail})

    def _get(self, path: str) -> tuple[int, str, bytes]:
        if path in POST_PATHS:
            raise Invalid(405, "use POST")
        if path == "/metrics":
            return 200, CONTENT_TYPE_LATEST, generate_latest(self.server.metrics.registry)
        if path == "/openapi.json":
            return 200, JSON, self.server.interface
        if path == "/version":
            facts = {"model": MODEL, "version": VERSION} | asdict(self.server.facts)
            return 200, JSON, _encode(facts)
        status = self.server.status
        if path == "/readyz":
            return 200 if status == "ready" else 503, JSON, _encode({"status": status})
        if path == "/healthz":
            failed = status == "failed"
            return (
                503 if failed else 200,
                JSON,
                _encode({"status": "failed" if failed else "alive"}),
            )
        raise Invalid(404, "no such path")

    def _post(self, path: str) -> tuple[int, str, bytes]:
        if path in GET_PATHS:
            raise Invalid(405, "use GET")
        if path not in POST_PATHS:
            raise Invalid(404, "no such path")
        kind = body_type(self.headers.get("Content-Type"))
        body = self.rfile.read(body_length(self.headers.get("Content-Length")))
        network = self.server.network
        if network is None:
            return 503, JSON, _encode({"detail": "the weights are not loaded"})
        if kind == TENSORS:
            rows = network.probabilities(parse_tensors(body, network.pixels, network.brightest))
            return 200, TENSORS, save({"probabilities": rows, "best": rows.argmax(axis=1)})
        rows = network.probabilities(parse_images(body, network.pixels, network.brightest))
        predictions = [
            {"label": network.labels[row.argmax()], "probabilities": row.tolist()} for row in rows
        ]
        return 200, JSON, _encode({"predictions": predictions, "model": MODEL})

    def _send(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what is not HTTP, or another method, in JSON like everything else."""
        self.close_connection = True
        code = 405 if code == HTTPStatus.NOT_IMPLEMENTED else code
        self._send(code, JSON, _encode({"detail": message or explain or HTTPStatus(code).phrase}))

    def version_string(self) -> str:
        """Name no versions to the outside."""
        return MODEL

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Log only what is worth it, through `logging`."""
        log.debug(format, *args)


def _encode(value: object) -> bytes:
    return json.dumps(value).encode()
