"""The HTTP interface: embed, health, version, metrics."""

import json
import logging
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from service import MODEL, VERSION
from service.encoder import Encoder
from service.metrics import Measure, Metrics

MAX_BODY = 1 << 20
MAX_TEXTS = 32
MAX_CHARACTERS = 16384
PATHS = frozenset({"/embed", "/healthz", "/readyz", "/version", "/metrics", "/openapi.json"})
TOO_LARGE = {
    "description": f"The body is over {MAX_BODY} bytes",
    "content": {"text/plain": {"schema": {"type": "string"}}},
}

log = logging.getLogger("uvicorn.error")

Text = Annotated[str, StringConstraints(max_length=MAX_CHARACTERS)]


class EmbedRequest(BaseModel):
    """Texts to embed; what is over 256 word pieces is cut off by the model."""

    model_config = ConfigDict(extra="forbid", strict=True)

    texts: Annotated[list[Text], Field(min_length=1, max_length=MAX_TEXTS)]


class EmbedResponse(BaseModel):
    """One unit vector for each text, in the order of the request."""

    embeddings: list[list[float]]
    dimensions: int
    model: str


class Problem(BaseModel):
    """Why there is no answer."""

    detail: str


class Liveness(BaseModel):
    """Whether the process works; it does not where the weights cannot be loaded."""

    status: Literal["alive", "failed"]


class Readiness(BaseModel):
    """Whether the weights are loaded."""

    status: Literal["loading", "ready", "failed"]


class Facts(BaseModel):
    """What the image says of itself; null outside an image."""

    model: str
    version: str
    weights_digest: str | None
    weights_verified: str | None
    revision: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildFacts:
    """What the image tells the service about itself; None outside an image."""

    weights_digest: str | None = None
    weights_verified: str | None = None
    revision: str | None = None


class Model:
    """The encoder, absent until its weights are loaded in the background."""

    def __init__(self, directory: Path, metrics: Metrics) -> None:
        self._directory = directory
        self._metrics = metrics
        self._slots = threading.BoundedSemaphore(os.cpu_count() or 1)
        self._encoder: Encoder | None = None
        self.status = "loading"

    def load(self) -> None:
        """Read the weights; never raises, a failure stands in `status` and in the log."""
        try:
            encoder = Encoder.load(self._directory)
            encoder.embed(["the first pass allocates"])
        except Exception:
            log.exception("cannot load the weights in %s", self._directory)
            self.status = "failed"
            return
        self._encoder = encoder
        self.status = "ready"
        self._metrics.ready.set(1)

    def embed(self, texts: list[str]) -> EmbedResponse | None:
        """Return the embeddings, or None while there is no model."""
        if self._encoder is None:
            return None
        with self._slots:
            vectors = self._encoder.embed(texts)
        self._metrics.texts.inc(len(texts))
        return EmbedResponse(
            embeddings=vectors.tolist(), dimensions=self._encoder.dimensions, model=MODEL
        )


def create_app(weights: Path, facts: BuildFacts) -> FastAPI:
    """Return the application; its weights start to load when it starts."""
    metrics = Metrics()
    model = Model(weights, metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        threading.Thread(target=model.load, name="load-weights", daemon=True).start()
        yield

    app = FastAPI(
        title=MODEL,
        version=VERSION,
        lifespan=lifespan,
        docs_url=None,  # the pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        max_body_size=MAX_BODY,
    )
    app.add_middleware(Measure, metrics=metrics, paths=PATHS)
    app.add_exception_handler(RequestValidationError, _invalid)
    _add_embed(app, model)
    _add_health(app, model)
    _add_facts(app, metrics, facts)
    return app


def _add_embed(app: FastAPI, model: Model) -> None:
    @app.post(
        "/embed",
        response_model=EmbedResponse,
        responses={400: {"model": Problem}, 413: TOO_LARGE, 503: {"model": Problem}},
    )
    def embed(request: EmbedRequest) -> Response:
        answer = model.embed(request.texts)
        if answer is None:
            return JSONResponse(
                {"detail": "the weights are not loaded"}, 503, headers={"Retry-After": "1"}
            )
        return Response(answer.model_dump_json(), media_type="application/json")


def _add_health(app: FastAPI, model: Model) -> None:
    # `async`, so that they answer while every worker thread computes embeddings.
    @app.get("/healthz", response_model=Liveness, responses={503: {"model": Liveness}})
    async def healthz() -> JSONResponse:
        failed = model.status == "failed"
        return JSONResponse({"status": "failed" if failed else "alive"}, 503 if failed else 200)

    @app.get("/readyz", response_model=Readiness, responses={503: {"model": Readiness}})
    async def readyz() -> JSONResponse:
        return JSONResponse({"status": model.status}, 200 if model.status == "ready" else 503)


def _add_facts(app: FastAPI, metrics: Metrics, facts: BuildFacts) -> None:
    @app.get("/version", response_model=Facts)
    async def version() -> JSONResponse:
        return JSONResponse({"model": MODEL, "version": VERSION} | asdict(facts))

    @app.get("/metrics", response_class=PlainTextResponse)
    async def prometheus() -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)


async def _invalid(_: Request, error: Exception) -> Response:
    """Say what is wrong without repeating the input, which may be huge or not encodable."""
    problems = error.errors() if isinstance(error, RequestValidationError) else []
    detail = [{key: problem[key] for key in ("loc", "msg", "type")} for problem in problems]
    return Response(json.dumps({"detail": detail}), 422, media_type="application/json")
