"""Serve on 0.0.0.0:$PORT (default 8080); SIGTERM finishes open requests first."""

import os
from pathlib import Path

import uvicorn

from service.app import application

DEFAULT_WEIGHTS = "/models/llm-gpu"


def main() -> None:
    """Read the environment and serve until a signal comes."""
    weights = Path(os.environ.get("MODELPACK_WEIGHTS", DEFAULT_WEIGHTS))
    uvicorn.run(
        application(weights),
        host="0.0.0.0",
        port=int(os.environ.get("PORT", "8080")),
        timeout_graceful_shutdown=60,
        server_header=False,
    )


if __name__ == "__main__":
    main()
