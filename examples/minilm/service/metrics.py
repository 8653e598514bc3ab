"""Count and time requests for Prometheus, as ASGI middleware."""

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

SERVER_ERROR = 500


class Metrics:
    """The numbers of one application."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "http_requests", "Requests answered.", ["path", "status"], registry=self.registry
        )
        self.errors = Counter(
            "http_errors", "Requests answered with 5xx.", ["path"], registry=self.registry
        )
        self.latency = Histogram(
            "http_request_duration_seconds",
            "Time from the first byte of a request to the end of its answer.",
            ["path"],
            registry=self.registry,
        )
        self.texts = Counter("embedded_texts", "Texts embedded.", registry=self.registry)
        self.ready = Gauge("model_ready", "1 when the weights are loaded.", registry=self.registry)


class Measure:
    """Middleware: one observation for each request, under a path of a closed set."""

    def __init__(self, app: App, metrics: Metrics, paths: frozenset[str]) -> None:
        self._app = app
        self._metrics = metrics
        self._paths = paths

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one connection and record what was answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = SERVER_ERROR
        start = time.perf_counter()

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, observed)
        finally:
            # What clients invent must not become a label: their number would have no bound.
            path = scope["path"] if scope["path"] in self._paths else "other"
            self._metrics.latency.labels(path).observe(time.perf_counter() - start)
            self._metrics.requests.labels(path, str(status)).inc()
            if status >= SERVER_ERROR:
                self._metrics.errors.labels(path).inc()
