"""Make requests from an OpenAPI document with schemathesis, and judge what was answered to them.

`python -P -c SOURCE` reads a line of JSON and writes one: from a document to requests, then, as
often as it is asked, from answers to complaints. It sends nothing. Schemathesis changes how
Hypothesis works, which writes files; that, a document without an end, and a crash of a library stay
in this process.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import resource
import sys
import time
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis.errors import Unsatisfiable

CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance",
    "response_schema_conformance", "negative_data_rejection",
)  # fmt: skip
SETTINGS = {"checks": {"negative_data_rejection": {"expected-statuses": ["4xx", "5xx"]}}}
"5xx is another complaint"
SEED = 20_251_125
MEMORY = 4 << 30
BASE = "http://service"
BODY = 1 << 20
"bytes of a request; a larger one is left out"
WHOLE = 64 << 20
"bytes of all requests"
FEW = 5
"cases that are made of each operation however long it takes"
OWN = ("accept-encoding", "connection", "content-length", "host", "user-agent")
"headers that whoever sends a request sets, beside those of schemathesis itself"
HEADER = re.compile(r"[\t -~\x80-\xff]*")
TARGET = re.compile(r"/[!-~]*")
MODES = {"positive": "what fits", "negative": "what does not fit"}


class TimeIsUp(Exception):  # noqa: N818  what happened
    """No more cases are made of one operation."""


def make(task: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Return cases, and what is said of them: each as a request, and what could not be made."""
    schema = schemathesis.openapi.from_dict(
        task["document"], config=schemathesis.Config.from_dict(SETTINGS)
    )
    operations: list[Any] = []
    unmade: list[str] = []
    for result in schema.get_all_operations():
        try:
            operations.append(result.ok())
        except Exception as error:  # noqa: BLE001  whatever is wrong with one, others have cases
            unmade.append(f"{type(error).__name__}: {error}")
    pairs = [(one, mode) for one in operations for mode in MODES]
    end = time.monotonic() + task["seconds"]
    kept: list[Any] = []
    written: list[dict[str, Any]] = []
    seen = set[str]()
    size = 0
    for number, (operation, mode) in enumerate(pairs):
        now = time.monotonic()
        until = now + (end - now) / (len(pairs) - number)
        cases, reason = cases_of(operation, mode, task["examples"], until)
        if reason:
            unmade.append(f"{operation.label}, {MODES[mode]}: {reason}")
        for case in cases:
            request = request_of(case)
            line = json.dumps(request)
            if request is None or line in seen or size + len(line) > WHOLE:
                continue
            seen.add(line)
            size += len(line)
            kept.append(case)
            written.append({**request, "at": operation.label})
    return kept, {
        "requests": written, "unmade": unmade, "operations": len(operations),
        "version": schemathesis.__version__,
    }  # fmt: skip


def cases_of(operation: Any, mode: str, examples: int, until: float) -> tuple[list[Any], str]:  # noqa: ANN401
    """Return cases of one operation, and why there are no more; the same ones every time."""
    found: list[Any] = []

    def keep(case: Any) -> None:  # noqa: ANN401
        if time.monotonic() > until and len(found) >= FEW:
            raise TimeIsUp
        found.append(case)

    try:
        strategy = operation.as_strategy(generation_mode=schemathesis.GenerationMode(mode))
        seed(SEED)(settings(
            max_examples=examples, database=None, deadline=None, derandomize=False,
            phases=[Phase.generate], print_blob=False, report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck), verbosity=Verbosity.quiet,
        )(given(strategy)(keep)))()  # fmt: skip
    except TimeIsUp:
        return found, ""
    except Unsatisfiable:
        return found, ""  # there is nothing that does not fit
    except Exception as error:  # noqa: BLE001  whatever a document makes of the libraries
        return found, f"{type(error).__name__}: {error}"
    return found, ""


def prepared(case: Any) -> requests.PreparedRequest:  # noqa: ANN401
    """Return a case as a request."""
    return requests.Request(**case.as_transport_kwargs(base_url=BASE)).prepare()


def request_of(case: Any) -> dict[str, Any] | None:  # noqa: ANN401
    """Return a case in JSON; None where nobody can send it."""
    try:
        request = prepared(case)
    except (ValueError, OSError):  # requests' own errors are both
        return None
    body = request.body or b""
    data = body.encode() if isinstance(body, str) else bytes(body)
    headers = {
        name: value if isinstance(value, str) else value.decode("latin-1")
        for name, value in request.headers.items()
        if name.lower() not in OWN and not name.lower().startswith("x-schemathesis")
    }
    if (
        len(data) > BODY
        or not TARGET.fullmatch(request.path_url)
        or not all(HEADER.fullmatch(text) for text in headers.values())
    ):
        return None
    return {
        "method": request.method, "path": request.path_url, "headers": headers,
        "body": base64.b64encode(data).decode() if data else None,
    }  # fmt: skip


def judge(cases: list[Any], answers: list[dict[str, Any] | None]) -> dict[str, Any]:
    """Return what schemathesis complains of, and what it could not judge."""
    checks = [getattr(schemathesis.checks, name) for name in CHECKS]
    complaints: list[dict[str, Any]] = []
    unjudged: list[str] = []
    for number, (case, answer) in enumerate(zip(cases, answers)):  # noqa: B905  some went unasked
        if answer is None:
            continue
        headers: dict[str, list[str]] = {}
        for name, value in answer["headers"]:
            headers.setdefault(name, []).append(value)
        response = schemathesis.Response(
            status_code=answer["status"], headers=headers,
            content=base64.b64decode(answer["body"]), request=prepared(case),
            elapsed=answer["seconds"], verify=False, encoding="utf-8",
        )  # fmt: skip
        try:
            case.validate_response(response, checks=checks)
        except BaseExceptionGroup as group:
            failures: tuple[Any, ...] = group.exceptions
            complaints += [
                {"number": number, "title": one.title, "message": one.message} for one in failures
            ]
        except Exception as error:  # noqa: BLE001  an answer that a library stumbles over
            unjudged.append(f"{case.operation.label}: {type(error).__name__}: {error}")
    return {"complaints": complaints, "unjudged": unjudged}


def main() -> None:
    """Make requests, wait for their answers, judge them."""
    with contextlib.suppress(ValueError, OSError):  # where a system has no such limit
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    answer, sys.stdout = sys.stdout, sys.stderr  # whatever a library prints is no answer
    cases, made = make(json.loads(sys.stdin.readline()))
    print(json.dumps(made), file=answer, flush=True)
    for line in sys.stdin:
        print(json.dumps(judge(cases, json.loads(line))), file=answer, flush=True)


if __name__ == "__main__":
    main()
