"""Ask a service in a container without a network: through the image's own Python."""

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

from modelpack.engine.door import Engine
from modelpack.errors import Unavailable
from modelpack.functional import sending
from modelpack.functional.golden import Request
from modelpack.inputs.quoting import quoted
from modelpack.running.explaining import KILLED

TIMEOUT: Final = 30.0
"seconds for one answer"
_LIMIT: Final = 512 << 20
"bytes of all answers to one task"
_PORTION: Final = 32 << 20
"bytes of all requests in one task, unless there is but one"
_TIMED_OUT: Final = "timed out"
"what a socket says"
_STARTING: Final = 60.0
"seconds for the program itself"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a service answered."""

    status: int
    "0: nothing"
    body: bytes
    seconds: float
    error: str = ""
    headers: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        if self.raised:
            return f"it raises {quoted(self.body[:400].decode('utf-8', 'replace'), 200)}"
        return str(self.status) if self.status else f"no answer ({self.error})"

    @property
    def raised(self) -> bool:
        """Whether it is the exception of a function, as our program tells it."""
        return any(name.lower() == "x-raised" for name, _ in self.headers)

    @property
    def timed_out(self) -> bool:
        """Tell whether nothing came within the time, which is no sign of what would have."""
        return not self.status and self.error == _TIMED_OUT

    @property
    def media_type(self) -> str:
        """What its content is said to be, in lower case; empty: nobody says."""
        said = (value for name, value in self.headers if name.lower() == "content-type")
        return next(said, "").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Waited:
    """How a service became ready."""

    ready: float | None
    "seconds from the first look; None: it did not"
    live: float | None
    before: Mapping[str, int]
    "what it answered before, and how often"
    first: Answer | None
    "to the first request, right after it was ready"
    uid: int | None
    after: float
    "seconds from then on to the end of the task"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """How a service behaved under load."""

    count: int
    seconds: float
    p50: float
    p95: float
    p99: float
    wrong: int
    "answers with another status than is expected"
    first_wrong: str
    last: Mapping[str, Answer]
    "answer to each request by its name"
    killed: int | None
    "processes that were killed for memory; None: nobody can tell"


class Killed(Unavailable):
    """Who asks in the container was killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Someone inside the container."""

    engine: Engine
    container: str
    port: int
    python: str

    def wait(
        self, *, live: str, ready: str, declared: bool, seconds: float, first: Request | None
    ) -> Waited:
        """Wait until the service is ready, and ask it `first` at once."""
        found = self._do({
            "do": "wait", "live": live, "ready": ready, "declared": declared, "seconds": seconds,
            "first": _request(first) if first else None, "timeout": TIMEOUT,
        }, seconds + TIMEOUT)  # fmt: skip
        first_answer = _answer(found["first"]) if found["first"] else None
        return Waited(**{**found, "first": first_answer})

    def ask(
        self, requests: Iterable[Request], *, times: int = 1, timeout: float = TIMEOUT
    ) -> list[Answer]:
        """Return the answers to requests that are sent one after the other, each so many times."""
        found: list[Answer] = []
        for some in _portions(_request(request) for request in requests):
            answered = self._do(
                {"do": "ask", "requests": some, "times": times, "timeout": timeout},
                timeout * len(some) * times,
            )
            found += [_answer(one) for one in answered["answers"]]
        return found

    def load(
        self, requests: Iterable[tuple[str, Request, int]], *, concurrency: int, seconds: float
    ) -> Loaded:
        """Send requests, each with its name and expected status, from `concurrency` clients."""
        asked = [
            {**_request(request), "name": name, "expected": status}
            for name, request, status in requests
        ]
        found = self._do({
            "do": "load", "requests": asked, "concurrency": concurrency, "seconds": seconds,
            "timeout": TIMEOUT,
        }, seconds + TIMEOUT)  # fmt: skip
        percentiles, wrong = found["percentiles"], found["first_wrong"]
        return Loaded(
            count=found["count"], seconds=found["seconds"], p50=percentiles["50"],
            p95=percentiles["95"], p99=percentiles["99"], wrong=found["wrong"],
            first_wrong=f"{wrong['request']}: {_answer(wrong['answer'])}" if wrong else "",
            last={name: _answer(one) for name, one in found["last"].items()},
            killed=found["killed"],
        )  # fmt: skip

    def _do(self, task: Mapping[str, Any], seconds: float) -> Any:  # noqa: ANN401  JSON
        """Return what came of a task; raise Unavailable where nothing did."""
        data = json.dumps(task, default=_encoded).encode()
        done = self.engine.exchange(
            self.container,
            (self.python, "-I", "-c", _program(), str(self.port)),
            b"%d\n%b" % (len(data), data),
            limit=_LIMIT,
            seconds=seconds + _STARTING,
        )
        try:
            return json.loads(done.stdout, object_hook=_decoded)
        except ValueError as error:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
            kind = Killed if done.status == KILLED else Unavailable
            raise kind(
                f"`{self.python}` in the container ended with status {done.status}"
                + "".join(f": {line}" for line in said)
            ) from error


@cache
def _program() -> str:
    return (files("modelpack.functional") / "inside.py").read_text("utf-8")


def _request(request: Request) -> dict[str, Any]:
    return {
        "method": request.method, "path": request.path, "body": sending.body(request),
        "headers": dict(request.headers), "timed": bool(request.call),
    }  # fmt: skip


def _portions(requests: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Yield requests in order, as many at once as can well be held in memory several times."""
    some: list[dict[str, Any]] = []
    size = 0
    for request in requests:
        size += len(request["body"] or b"")
        if some and size > _PORTION:
            yield some
            some, size = [], len(request["body"] or b"")
        some.append(request)
    if some:
        yield some


def _answer(found: Mapping[str, Any]) -> Answer:
    return Answer(
        status=found["status"], body=found.get("body", b""), seconds=found["seconds"],
        error=found.get("error", ""),
        headers=tuple((name, value) for name, value in found.get("headers", ())),
    )  # fmt: skip


def _encoded(value: bytes) -> dict[str, str]:
    return {" base64": base64.b64encode(value).decode()}


def _decoded(value: dict[str, Any]) -> Any:  # noqa: ANN401  JSON
    return base64.b64decode(value[" base64"]) if value.keys() == {" base64"} else value
