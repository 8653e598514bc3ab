"""The HTTP interface: predict, liveness, readiness with the GPU's facts, version."""

import json
import logging
import os
import threading
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

from service import MODEL, VERSION
from service.device import Device, NoDevice, find
from service.network import Network

MAX_BODY = 64 << 10
MAX_POINTS = 1000
SPIRALS = ("first", "second", "third")

log = logging.getLogger(MODEL)


class Server(ThreadingHTTPServer):
    """A thread for each connection; GPU and weights are looked for in the background."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], weights: Path) -> None:
        super().__init__(address, Handler)
        self.device: Device | None = None
        self.network: Network | None = None
        self.state = {"status": "loading"}
        threading.Thread(target=self._load, args=(weights,), daemon=True).start()

    def _load(self, weights: Path) -> None:
        try:
            device = find()
            self.network = Network.load(weights)
        except NoDevice as error:
            log.warning("no GPU: %s", error)
            self.state = {"status": "no-device", "reason": str(error)}
            return
        except Exception:
            log.exception("cannot load the weights in %s", weights)
            self.state = {"status": "failed", "reason": "the weights cannot be loaded"}
            return
        self.state = {"status": "ready", "device": asdict(device)}


class Handler(BaseHTTPRequestHandler):
    """Answer the requests of one connection."""

    server: Server
    protocol_version = "HTTP/1.1"
    timeout = 10  # seconds that a client may stay silent

    def do_GET(self) -> None:
        """Answer health and version."""
        state = self.server.state
        if self.path == "/healthz":
            self._answer(200, {"status": "alive"})
        elif self.path == "/readyz":
            self._answer(200 if state["status"] == "ready" else 503, state)
        elif self.path == "/version":
            self._answer(200, {
                "model": MODEL, "version": VERSION,
                "weights_digest": os.environ.get("MODELPACK_WEIGHTS_DIGEST"),
                "weights_verified": os.environ.get("MODELPACK_WEIGHTS_VERIFIED"),
                "revision": os.environ.get("MODELPACK_REVISION"),
            })  # fmt: skip
        else:
            self._answer(404, {"detail": "no such path"})

    def do_POST(self) -> None:
        """Answer predictions."""
        length = self.headers.get("Content-Length", "")
        if self.path != "/predict":
            self._answer(404, {"detail": "no such path"}, close=True)
        elif not (length.isascii() and length.isdecimal()) or int(length) > MAX_BODY:
            self._answer(413, {"detail": f"give a body of at most {MAX_BODY} bytes"}, close=True)
        else:
            self._answer(*self._predict(self.rfile.read(int(length))))

    def _predict(self, body: bytes) -> tuple[int, object]:
        network = self.server.network
        if network is None:
            return 503, self.server.state
        points = parse(body)
        if points is None:
            return 422, {"detail": f"expected 1 to {MAX_POINTS} points: {{'points': [[x, y], …]}}"}
        rows = network.probabilities(points)
        return 200, {
            "predictions": [
                {"spiral": SPIRALS[row.argmax()], "probabilities": row.tolist()} for row in rows
            ],
            "model": MODEL,
        }

    def _answer(self, status: int, value: object, *, close: bool = False) -> None:
        body = json.dumps(value).encode()
        self.close_connection = self.close_connection or close
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if close:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def version_string(self) -> str:
        """Name no versions to the outside."""
        return MODEL

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Log only what is worth it, through `logging`."""
        log.debug(format, *args)


def parse(body: bytes) -> np.ndarray | None:
    """Return float32 [points, 2]; None for anything else."""
    try:
        points = json.loads(body)["points"]
    except (ValueError, RecursionError, KeyError, TypeError):
        return None
    if not isinstance(points, list) or not 1 <= len(points) <= MAX_POINTS:
        return None
    for point in points:
        if not isinstance(point, list) or len(point) != 2:
            return None
        if not all(type(x) in (int, float) and abs(x) <= 1e6 for x in point):
            return None
    return np.array(points, dtype=np.float32)
