"""A small model service in this process, right in all that is asked of one, or wrong in one way."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

DIGEST = "sha256:" + "ab" * 32
MOST = 50
"which a number may be"


@dataclass
class Model:
    """What the service does; it doubles numbers."""

    factor: float = 2.0
    ready: bool = True
    "what the endpoint says"
    loading: int = 0
    "requests that are refused before the weights are loaded"
    leaks: int = 0
    "bytes that each request leaves behind"
    first_seconds: float = 0.0
    "that the first answer takes"
    batch_factor: float = 0.0
    "what is added to each number where more than one is asked"
    says: bytes = b""
    "instead of an answer"
    digest: str = DIGEST
    counts: bool = True
    dtype: str = "float32"
    name: str = "doubled"
    "of the tensor in a safetensors answer"
    swallows: bool = False
    "it answers what is no JSON as if it were"
    drifts: float = 0.0
    "what is added with every request"
    document: bytes = b""
    "what it serves as its interface"
    unexpected: int = 422
    "status for what is JSON, and no request; 0: it ends the connection"
    memory: int = 30 << 20
    asked: int = 0
    counted: dict[int, int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, path: str, body: bytes) -> tuple[int, bytes]:
        if path in ("/readyz", "/healthz"):
            return (200 if self.ready or path == "/healthz" else 503), b"{}"
        if path == "/version":
            return 200, json.dumps({"weights": {"digest": self.digest}}).encode()
        if path == "/metrics":
            return 200, self.metrics()
        if path == "/openapi.json":
            return (200 if self.document else 404), self.document
        if path == "/tensors":
            return self.predict_tensors(body)
        status, answer = self.predict(body)
        with self.lock:
            self.counted[status] = self.counted.get(status, 0) + 1
        return status, answer

    def predict(self, body: bytes) -> tuple[int, bytes]:
        with self.lock:
            self.asked += 1
            number = self.asked
            self.memory += self.leaks
        if number == 1:
            time.sleep(self.first_seconds)
        if number <= self.loading:
            return 503, b'{"detail": "loading"}'
        try:
            values = self.values(body)
        except ValueError:
            return (200 if self.swallows else 400), b"{}"
        except TypeError:
            return self.unexpected, b"{}"
        if self.says:
            return 200, self.says
        more = self.batch_factor * (len(values) > 1) + self.drifts * number
        doubled = [value * self.factor + more for value in values]
        return 200, json.dumps({"doubled": doubled, "count": len(values)}).encode()

    def values(self, body: bytes) -> list[float]:
        """Return the numbers of a request; raise ValueError: no JSON; TypeError: other JSON."""
        try:
            request = json.loads(body)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error
        values = request.get("values") if isinstance(request, dict) else None
        if not isinstance(values, list) or not all(
            type(one) in (int, float) and abs(one) <= MOST for one in values
        ):
            raise TypeError("not a request")
        return values

    def predict_tensors(self, body: bytes) -> tuple[int, bytes]:
        """Answer a safetensors file with one."""
        try:
            asked = load(body)
        except SafetensorError:
            return 400, b"{}"
        if self.says:
            return 200, self.says
        doubled = (asked["values"] * self.factor + asked["more"]).astype(self.dtype)
        return 200, save({self.name: doubled, "count": np.array([len(doubled)], np.int64)})

    def metrics(self) -> bytes:
        if not self.counts:
            return b"process_cpu_seconds_total 3\n"
        total = sum(self.counted.values())
        lines = ["# TYPE requests_total counter"]
        lines += [f'requests_total{{status="{s}"}} {n}' for s, n in self.counted.items()]
        lines += ["# TYPE request_seconds histogram", f"request_seconds_count {total}"]
        return ("\n".join(lines) + "\n").encode()


@contextmanager
def served(model: Model) -> Iterator[int]:
    """Serve `model` on this machine's loopback and yield the port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            sent = self.rfile.read(length)
            binary = self.path == "/tensors"
            wanted = "application/octet-stream" if binary else "application/json"
            if self.command == "POST" and self.headers.get_content_type() != wanted:
                status, body = 415, b"{}"
            else:
                status, body = model.answer(self.path, sent)
            if not status:
                self.close_connection = True
                return
            self.send_response(status)
            if self.path != "/metrics":
                self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815  as http.server names it

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = (
            128  # with Python's 5 a busy machine lets clients try again for seconds
        )

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()
