"""What Prometheus sees of the service."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

SERVER_ERROR = 500


class Metrics:
    """The numbers of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.ready = Gauge("model_ready", "1 when the weights are loaded.", registry=self.registry)
        self._requests = Counter(
            "http_requests", "Requests answered.", ["path", "status"], registry=self.registry
        )
        self._errors = Counter(
            "http_errors", "Requests answered with 5xx.", ["path"], registry=self.registry
        )
        self._latency = Histogram(
            "http_request_duration_seconds",
            "Time from the head of a request to the end of its answer.",
            ["path"],
            registry=self.registry,
        )

    def observe(self, path: str, status: int, seconds: float) -> None:
        """Record one answer; `path` is of a closed set, or the number of labels has no bound."""
        self._requests.labels(path, str(status)).inc()
        self._latency.labels(path).observe(seconds)
        if status >= SERVER_ERROR:
            self._errors.labels(path).inc()
