"""The HTTP interface: generate, health, version; the model loads in the background."""

import logging
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Response
from pydantic import BaseModel, Field

from service import MODEL, VERSION
from service.language_model import LanguageModel

log = logging.getLogger(MODEL)


class Request(BaseModel):
    """What `POST /generate` takes."""

    prompt: Annotated[str, Field(min_length=1, max_length=100_000)]
    max_tokens: Annotated[int, Field(ge=1, le=4096)] = 256


class State:
    """The model once it is loaded, else why it is not."""

    def __init__(self, weights: Path) -> None:
        self.model: LanguageModel | None = None
        self.reason = "loading"
        threading.Thread(target=self._load, args=(weights,), daemon=True).start()

    def _load(self, weights: Path) -> None:
        try:
            self.model = LanguageModel(weights)
        except Exception as error:
            log.exception("cannot load the model in %s", weights)
            self.reason = str(error) if isinstance(error, RuntimeError) else type(error).__name__


def application(weights: Path) -> FastAPI:
    """Return the service."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.llm = State(weights)
        yield

    app = FastAPI(title=MODEL, version=VERSION, lifespan=lifespan)

    @app.get("/healthz")
    def live() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/readyz")
    def ready(response: Response) -> dict[str, Any]:
        state: State = app.state.llm
        if state.model is None:
            response.status_code = 503
            return {"status": "not-ready", "reason": state.reason}
        return {"status": "ready", "device": state.model.facts()}

    @app.get("/version")
    def version() -> dict[str, str | None]:
        return {
            "model": MODEL,
            "version": VERSION,
            "weights_digest": os.environ.get("MODELPACK_WEIGHTS_DIGEST"),
            "weights_verified": os.environ.get("MODELPACK_WEIGHTS_VERIFIED"),
            "revision": os.environ.get("MODELPACK_REVISION"),
        }

    @app.post("/generate")
    def generate(request: Request) -> dict[str, Any]:
        model = app.state.llm.model
        if model is None:
            raise HTTPException(503, app.state.llm.reason)
        try:
            answer = model.generate(request.prompt, most=request.max_tokens)
        except ValueError as error:
            raise HTTPException(422, str(error)) from error
        return {"model": MODEL, **asdict(answer)}

    return app
