"""Serve on 0.0.0.0:$PORT (default 8080) in one process; SIGTERM finishes open requests first."""

import os
from pathlib import Path

import uvicorn

from service.app import BuildFacts, create_app

GRACE_SECONDS = 10
DEFAULT_WEIGHTS = "/models/minilm"


def main() -> None:
    """Read the environment, make the application and serve it until a signal comes."""
    app = create_app(
        Path(os.environ.get("MODELPACK_WEIGHTS", DEFAULT_WEIGHTS)),
        BuildFacts(
            weights_digest=os.environ.get("MODELPACK_WEIGHTS_DIGEST"),
            weights_verified=os.environ.get("MODELPACK_WEIGHTS_VERIFIED"),
            revision=os.environ.get("MODELPACK_REVISION"),
        ),
    )
    uvicorn.run(
        app,
        host="0.0.0.0",
        port=int(os.environ.get("PORT", "8080")),
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


if __name__ == "__main__":
    main()
