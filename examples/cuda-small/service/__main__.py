"""Serve on 0.0.0.0:$PORT (default 8080) until SIGTERM."""

import os
import signal
import threading
from pathlib import Path

from service.server import Server

DEFAULT_WEIGHTS = "/models/cuda-small"


def main() -> None:
    """Read the environment and serve until a signal comes."""
    server = Server(
        ("0.0.0.0", int(os.environ.get("PORT", "8080"))),
        Path(os.environ.get("MODELPACK_WEIGHTS", DEFAULT_WEIGHTS)),
    )
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stop.wait()
    server.shutdown()
    server.server_close()


if __name__ == "__main__":
    main()
