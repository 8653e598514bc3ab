"""Serve on 0.0.0.0:$PORT (default 8080); SIGTERM finishes open requests first."""

import logging
import os
import signal
import threading
from pathlib import Path

from service.server import BuildFacts, Server

GRACE_SECONDS = 10
DEFAULT_WEIGHTS = "/models/digits"


def main() -> None:
    """Read the environment and serve until a signal comes."""
    logging.basicConfig(level=logging.INFO)
    server = Server(
        ("0.0.0.0", int(os.environ.get("PORT", "8080"))),
        Path(os.environ.get("MODELPACK_WEIGHTS", DEFAULT_WEIGHTS)),
        BuildFacts(
            weights_digest=os.environ.get("MODELPACK_WEIGHTS_DIGEST"),
            weights_verified=os.environ.get("MODELPACK_WEIGHTS_VERIFIED"),
            revision=os.environ.get("MODELPACK_REVISION"),
        ),
    )
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stop.wait()
    server.finish(GRACE_SECONDS)


if __name__ == "__main__":
    main()
