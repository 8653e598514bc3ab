"""Read golden files, strictly. See docs/guides/testing.md."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from modelpack.digest import Digest
from modelpack.digest import of as digest_of
from modelpack.errors import Finding, InputError
from modelpack.functional.comparing import Tolerance, matching, parse
from modelpack.functional.golden import MOST, Batch, Golden, Request
from modelpack.inputs import patterns
from modelpack.inputs.opening import open_regular

LIMIT: Final = 16 << 20
"bytes of a golden file"
_FILES: Final = 1000
_SKIPPED: Final = (".git", "dist", "node_modules", "__pycache__", ".venv")
_STATUSES: Final = range(100, 600)
_SUCCESS: Final = range(200, 300)


def read(root: Path, wanted: Sequence[str]) -> tuple[Golden, ...]:
    """Return the golden files of a project; raise InputError with all that is wrong."""
    if not wanted:
        raise InputError(
            "there are no golden requests", at="test.golden",
            hint='write them and say where: [test] golden = ["golden/*.json"]',
        )  # fmt: skip
    paths = patterns.select(root, wanted, skip_dirs=_SKIPPED).paths
    if not paths:
        raise InputError(f"no file matches {', '.join(wanted)}", at="test.golden")
    if len(paths) > _FILES:
        raise InputError(f"more than {_FILES} files", at="test.golden")
    found: list[Golden] = []
    problems: list[Finding] = []
    for path in paths:
        with open_regular(root / path) as file:
            data = file.read(LIMIT + 1)
        try:
            found.append(decode(data, name=path))
        except InputError as error:
            problems += error.findings
    if problems:
        raise InputError(*problems)
    return tuple(found)


def decode(data: bytes, *, name: str) -> Golden:
    """Return the golden file in `data`, or raise InputError with all that is wrong."""
    if len(data) > LIMIT:
        raise InputError(f"larger than {LIMIT} bytes", at=name)
    try:
        value = parse(data)
    except ValueError as error:
        raise InputError(f"not JSON: {error}", at=name) from error
    reader = _Reader(name)
    golden = reader.golden(value, digest_of(data))
    if reader.problems or golden is None:
        raise InputError(*reader.problems)
    return golden


class _Reader:
    """Reads one file, and keeps what is wrong with it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.problems: list[Finding] = []

    def wrong(self, at: str, message: str, hint: str = "") -> None:
        place = f"{self.name}: {at}" if at else self.name
        self.problems.append(Finding(message=message, at=place, hint=hint, rule="test.golden"))

    def table(self, value: object, at: str, known: Sequence[str]) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            self.wrong(at, "not an object")
            return {}
        for key in value:
            if key not in known:
                self.wrong(f"{at}.{key}" if at else key, "unknown key",
                           hint=f"known are {', '.join(known)}")  # fmt: skip
        return value

    def golden(self, value: object, digest: Digest) -> Golden | None:
        whole = self.table(value, "", ("request", "response", "tolerance", "ranges", "batch"))
        request = self.request(whole.get("request"))
        answer = self.table(whole.get("response"), "response", ("status", "json"))
        status = answer.get("status", 200)
        if type(status) is not int or status not in _STATUSES:
            self.wrong("response.status", "not an HTTP status")
        golden = Golden(
            name=self.name, digest=digest, request=request, status=status,
            json=answer.get("json"), checks_json="json" in answer,
            tolerance=self.tolerance(whole.get("tolerance", {})),
            ranges=self.ranges(whole.get("ranges", {})),
            batch=self.batch(whole["batch"]) if "batch" in whole else None,
        )  # fmt: skip
        if golden.batch is not None and not self.problems:
            self.fits(golden, golden.batch)
        return golden

    def request(self, value: object) -> Request:
        asked = self.table(value, "request", ("method", "path", "json", "headers"))
        method, path = asked.get("method", "POST"), asked.get("path")
        headers = self.table(asked.get("headers", {}), "request.headers", tuple(
            asked["headers"] if isinstance(asked.get("headers"), dict) else ()
        ))  # fmt: skip
        if not (isinstance(method, str) and method.isascii() and method.isupper()):
            self.wrong("request.method", "not an HTTP method", hint="such as `POST`")
        if not (isinstance(path, str) and path.startswith("/") and _is_plain(path)):
            self.wrong("request.path", "not a path of the service", hint="it starts with `/`")
        for key, text in headers.items():
            if not (isinstance(text, str) and _is_plain(key) and _is_plain(text, " ")):
                self.wrong(f"request.headers.{key}", "not a header")
        own = {} if asked.get("json") is None else {"Content-Type": "application/json"}
        return Request(method=str(method), path=str(path), json=asked.get("json"),
                       headers={**own, **headers})  # fmt: skip

    def tolerance(self, value: object) -> Tolerance:
        said = self.table(value, "tolerance", ("absolute", "relative"))
        for key, one in said.items():
            if not (_is_number(one) and one >= 0):
                self.wrong(f"tolerance.{key}", "not a number of 0 or more")
        if self.problems:
            return Tolerance()
        return Tolerance(absolute=said.get("absolute", 0.0), relative=said.get("relative", 0.0))

    def ranges(self, value: object) -> Mapping[str, tuple[float, float]]:
        found: dict[str, tuple[float, float]] = {}
        for pointer, both in (value if isinstance(value, dict) else {}).items():
            if not (isinstance(both, list) and len(both) == 2 and all(map(_is_number, both))):  # noqa: PLR2004
                self.wrong(f"ranges.{pointer}", "not the least and the greatest value")
            elif not pointer.startswith("/") or both[0] > both[1]:
                self.wrong(f"ranges.{pointer}", "not a JSON pointer with a range",
                           hint='such as "/scores/*": [0, 1]')  # fmt: skip
            else:
                found[pointer] = (both[0], both[1])
        if not isinstance(value, dict):
            self.wrong("ranges", "not an object")
        return found

    def batch(self, value: object) -> Batch | None:
        said = self.table(value, "batch", ("input", "output", "max"))
        for key in ("input", "output"):
            text = said.get(key)
            if not (isinstance(text, str) and text.startswith("/") and "*" not in text):
                self.wrong(f"batch.{key}", "not a JSON pointer of a list", hint="such as `/inputs`")
        most = said.get("max", MOST)
        if type(most) is not int or most < 2:  # noqa: PLR2004  fewer are no batch
            self.wrong("batch.max", "not a number of 2 or more")
        if self.problems:
            return None
        return Batch(input=said["input"], output=said["output"], most=most)

    def fits(self, golden: Golden, batch: Batch) -> None:
        """Judge that both lists are there, with one element for each example."""
        asked = [one for _, one in matching(golden.request.json, batch.input)]
        answered = [one for _, one in matching(golden.json, batch.output)]
        for key, found in (("input", asked), ("output", answered)):
            if len(found) != 1 or not isinstance(found[0], list) or not found[0]:
                self.wrong(f"batch.{key}", "there is no such list, or it is empty")
        if not self.problems and len(asked[0]) != len(answered[0]):
            self.wrong("batch", f"{len(asked[0])} examples and {len(answered[0])} answers")
        if golden.status not in _SUCCESS:
            self.wrong("batch", "the answer is an error")


def _is_plain(text: str, also: str = "") -> bool:
    """Tell whether `text` is printable ASCII without blanks: nothing can be smuggled in."""
    return bool(text) and all("!" <= char <= "~" or char in also for char in text)


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]
