"""Requests that schemathesis makes from an OpenAPI document, and what it says of the answers.

It runs in a process of its own (`schemathesis_driver`), which sends nothing: requests go through
whoever asks inside the container. The same document gives the same requests, within the time.
"""

import base64
import importlib.metadata
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

from modelpack import process
from modelpack.errors import Unavailable
from modelpack.functional.asking import Answer
from modelpack.functional.golden import Request

INSTALL: Final = "pip install 'modelpack-build[schemathesis]'"
_EXAMPLES: Final = 20
"of what fits, and of what does not, for each operation"
_SECONDS: Final = 30.0
"for making all of them, but for the first few of each"
_TIMEOUT: Final = 300.0
"seconds from the start of the process to its end, with all that is asked between"
_BODY: Final = 1 << 20
"bytes of an answer that is judged"


class Failed(Exception):  # noqa: N818  what happened
    """Schemathesis, or what it is written in, did not get through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What schemathesis made of a document."""

    requests: tuple[Request, ...]
    at: tuple[str, ...]
    "operation of each"
    unmade: tuple[str, ...]
    "operations without requests, and why"
    operations: int
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """What is wrong with one answer."""

    at: str
    request: Request
    title: str
    "the kind of it"
    message: str = ""


Judge = Callable[[Sequence[Answer]], tuple[Sequence[Complaint], Sequence[str]]]
"from answers, in the order of the requests, to complaints and to what could not be judged"


def available() -> bool:
    """Tell whether schemathesis is installed."""
    try:
        importlib.metadata.version("schemathesis")
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


@contextmanager
def made(document: Mapping[str, Any]) -> Iterator[tuple[Made, Judge]]:
    """Make requests from `document`; yield them, and who judges their answers.

    Raises Failed where schemathesis does not get through, here and while it judges.
    """
    driver = files("modelpack.functional").joinpath("schemathesis_driver.py").read_text("utf-8")
    with tempfile.TemporaryDirectory(prefix="modelpack-schemathesis-") as work:
        environment = {
            "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0", "HYPOTHESIS_STORAGE_DIRECTORY": work,
        }  # fmt: skip
        with process.conversation(
            [sys.executable, "-P", "-c", driver], environment=environment, cwd=work,
            timeout=_TIMEOUT,
        ) as tell:  # fmt: skip
            task = {"document": document, "examples": _EXAMPLES, "seconds": _SECONDS}
            found = _told(tell, task)
            made = _made(found)
            yield made, lambda answers: _judged(tell, made, answers)


def _told(tell: Callable[[bytes], bytes], value: Any) -> Any:  # noqa: ANN401  JSON
    try:
        return json.loads(tell(json.dumps(value).encode()))
    except (Unavailable, ValueError) as error:
        raise Failed(str(error)) from error


def _made(found: Mapping[str, Any]) -> Made:
    requests = [
        Request(
            method=one["method"], path=one["path"], headers=one["headers"],
            raw=None if one["body"] is None else base64.b64decode(one["body"]),
        )
        for one in found["requests"]
    ]  # fmt: skip
    return Made(
        requests=tuple(requests), at=tuple(one["at"] for one in found["requests"]),
        unmade=tuple(found["unmade"]), operations=found["operations"], version=found["version"],
    )  # fmt: skip


def _judged(
    tell: Callable[[bytes], bytes], made: Made, answers: Sequence[Answer]
) -> tuple[list[Complaint], list[str]]:
    """Return complaints of answers, and of what gave none; what is late or large goes unjudged."""
    silent = [
        Complaint(at=at, request=request, title=str(answer))
        for at, request, answer in zip(made.at, made.requests, answers, strict=False)
        if not answer.status and not answer.timed_out
    ]
    unread = [
        f"{at}: " + ("it takes long" if answer.timed_out else f"{len(answer.body)} bytes of answer")
        for at, answer in zip(made.at, answers, strict=False)
        if answer.timed_out or len(answer.body) > _BODY
    ]
    found = _told(tell, [_written(answer) for answer in answers])
    complaints = [
        Complaint(
            at=made.at[one["number"]], request=made.requests[one["number"]],
            title=one["title"], message=one["message"].partition("\n\n")[0],
        )
        for one in found["complaints"]
    ]  # fmt: skip
    return silent + complaints, [*unread, *found["unjudged"]]


def _written(answer: Answer) -> Mapping[str, Any] | None:
    if not answer.status or len(answer.body) > _BODY:
        return None
    return {
        "status": answer.status, "headers": answer.headers, "seconds": answer.seconds,
        "body": base64.b64encode(answer.body).decode(),
    }  # fmt: skip
