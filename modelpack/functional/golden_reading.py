"""One golden file, read strictly: all that is wrong with it at once. See docs/guides/testing.md."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from modelpack.digest import Digest
from modelpack.errors import Finding, InputError
from modelpack.functional.comparing import elements, matching
from modelpack.functional.golden import CALL, MOST, TENSORS, Batch, Golden, Request
from modelpack.functional.tolerance import Tolerance
from modelpack.inputs import tensor_references
from modelpack.inputs.array import Array
from modelpack.inputs.tensor_references import Near

KEYS: Final = ("request", "response", "tolerance", "ranges", "batch", "$schema")
"the last is for editors"
HTTP_REQUEST: Final = ("method", "path", "json", "tensors", "headers")
CALL_REQUEST: Final = ("call", "arguments")
HTTP_RESPONSE: Final = ("status", "json", "tensors")
CALL_RESPONSE: Final = ("returns",)
FUNCTION: Final = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*"
"`package.module:function`, as entry points of Python packages are written"
_STATUSES: Final = range(100, 600)
_SUCCESS: Final = range(200, 300)
_PAIR: Final = 2


class Reader:
    """Reads one file, and keeps what is wrong with it."""

    def __init__(self, name: str, files: Near) -> None:
        self.name, self.files = name, files
        self.problems: list[Finding] = []

    def wrong(self, at: str, message: str, hint: str = "") -> None:
        """Note a problem."""
        place = f"{self.name}: {at}" if at else self.name
        self.problems.append(Finding(message=message, at=place, hint=hint, rule="test.golden"))

    def table(self, value: object, at: str, known: Sequence[str]) -> Mapping[str, Any]:
        """Return an object none of whose keys is unknown."""
        if not isinstance(value, dict):
            self.wrong(at, "not an object")
            return {}
        for key in value:
            if key not in known:
                named = ", ".join(one for one in known if not one.startswith("$"))
                self.wrong(f"{at}.{key}" if at else key, "unknown key", hint=f"known are {named}")
        return value

    def golden(self, value: object, digest: Digest) -> Golden:
        """Return what the file says; it counts only where there are no problems."""
        whole = self.table(value, "", KEYS)
        asked = whole.get("request")
        calls = isinstance(asked, dict) and "call" in asked
        request = self.call(asked) if calls else self.request(asked)
        answer = self.table(
            whole.get("response"), "response", CALL_RESPONSE if calls else HTTP_RESPONSE
        )
        status = answer.get("status", 200)
        if type(status) is not int or status not in _STATUSES:
            self.wrong("response.status", "not an HTTP status")
        key = "returns" if calls else "json"
        golden = Golden(
            name=self.name, digest=digest, request=request, status=status,
            json=self.content(answer.get(key), f"response.{key}", plain=not calls, finite=True),
            checks_json=key in answer,
            tensors=self.tensors(answer, "response", finite=True)[1],
            tolerance=self.tolerance(whole.get("tolerance", {})),
            ranges=self.ranges(whole.get("ranges", {})),
            batch=self.batch(whole["batch"]) if "batch" in whole else None,
            files=dict(self.files.used),
        )  # fmt: skip
        if golden.batch is not None and not self.problems:
            self.fits(golden, golden.batch)
        return golden

    def request(self, value: object) -> Request:
        """Return a request of HTTP."""
        asked = self.table(value, "request", HTTP_REQUEST)
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
        raw, tensors = self.tensors(asked, "request", finite=False)
        kind = TENSORS if tensors is not None else "application/json"
        own = {} if asked.get("json") is None and tensors is None else {"Content-Type": kind}
        return Request(
            method=str(method), path=str(path), raw=raw, tensors=tensors,
            json=self.content(asked.get("json"), "request.json", plain=True, finite=True),
            headers={**own, **headers},
        )  # fmt: skip

    def call(self, value: object) -> Request:
        """Return a call of a function."""
        asked = self.table(value, "request", CALL_REQUEST)
        function, arguments = asked["call"], asked.get("arguments", {})
        if not (isinstance(function, str) and re.fullmatch(FUNCTION, function, re.ASCII)):
            self.wrong("request.call", "not a function",
                       hint="such as `package.module:function`")  # fmt: skip
        if not isinstance(arguments, dict | list):
            self.wrong("request.arguments", "neither an object of named nor a list of arguments")
        return Request(
            method="POST", path=CALL, call=str(function),
            json=self.content(arguments, "request.arguments", plain=False, finite=False),
        )  # fmt: skip

    def content(self, value: object, at: str, *, plain: bool, finite: bool) -> Any:  # noqa: ANN401
        """Return a JSON value with the tensors that it names, written out as lists if `plain`."""
        found = tensor_references.expand(value, self.files, self.wrong, at)
        if finite:
            self.finite(found, at)
        return tensor_references.plain(found, self.wrong, at) if plain else found

    def tensors(
        self, table: Mapping[str, Any], at: str, *, finite: bool
    ) -> tuple[bytes | None, Mapping[str, Array] | None]:
        """Return the file that `tensors` of a table names, and what is in it."""
        name = table.get("tensors")
        if name is None:
            return None, None
        at = f"{at}.tensors"
        if not isinstance(name, str) or table.get("json") is not None:
            self.wrong(at, "not a file of tensors, alone without `json`",
                       hint="such as `images.safetensors`, relative to this file")  # fmt: skip
            return None, None
        try:
            data, found = self.files.read(name)
        except InputError as error:
            for one in error.findings:
                self.wrong(at, f"{one.at}: {one.message}")
            return None, None
        if finite:
            self.finite(found, at)
        return data, dict(found)

    def finite(self, value: object, at: str) -> None:
        """Judge that no tensor holds what is no number."""
        for place, array in tensor_references.arrays(value, at):
            if found := array.not_finite():
                self.wrong(place, f"holds {found}, which nothing is like")

    def tolerance(self, value: object) -> Tolerance:
        """Return how far fractions may be off."""
        said = self.table(value, "tolerance", ("absolute", "relative"))
        for key, one in said.items():
            if not (_is_number(one) and one >= 0):
                self.wrong(f"tolerance.{key}", "not a number of 0 or more")
        if self.problems:
            return Tolerance()
        return Tolerance(absolute=said.get("absolute", 0.0), relative=said.get("relative", 0.0))

    def ranges(self, value: object) -> Mapping[str, tuple[float, float]]:
        """Return least and greatest values by JSON pointer."""
        found: dict[str, tuple[float, float]] = {}
        for pointer, both in (value if isinstance(value, dict) else {}).items():
            if not (isinstance(both, list) and len(both) == _PAIR and all(map(_is_number, both))):
                self.wrong(f"ranges.{pointer}", "not the least and the greatest value")
            elif (pointer and not pointer.startswith("/")) or both[0] > both[1]:
                self.wrong(f"ranges.{pointer}", "not a JSON pointer with a range",
                           hint='such as "/scores/*": [0, 1]')  # fmt: skip
            else:
                found[pointer] = (both[0], both[1])
        if not isinstance(value, dict):
            self.wrong("ranges", "not an object")
        return found

    def batch(self, value: object) -> Batch | None:
        """Return where the examples are."""
        said = self.table(value, "batch", ("input", "output", "max"))
        places = {key: self.pointers(said.get(key), key) for key in ("input", "output")}
        most = said.get("max", MOST)
        if type(most) is not int or most < 2:  # noqa: PLR2004  fewer are no batch
            self.wrong("batch.max", "not a number of 2 or more")
        if self.problems:
            return None
        return Batch(input=places["input"], output=places["output"], most=most)

    def pointers(self, value: object, key: str) -> tuple[str, ...]:
        """Return one JSON pointer, or several of lists that belong together."""
        texts = value if isinstance(value, list) and value else [value]
        for text in texts:
            empty = text == "" and len(texts) == 1  # the whole value
            if not (isinstance(text, str) and (empty or text.startswith("/")) and "*" not in text):
                self.wrong(f"batch.{key}", "not a JSON pointer of a list",
                           hint="such as `/inputs`, or a list of them")  # fmt: skip
                return ()
        return tuple(texts)

    def fits(self, golden: Golden, batch: Batch) -> None:
        """Judge that all lists are there, with one element for each example."""
        counts: dict[str, set[int]] = {}
        for key, value, pointers in (
            ("input", golden.request.value, batch.input),
            ("output", golden.value, batch.output),
        ):
            for pointer in pointers:
                found = [elements(one) for _, one in matching(value, pointer)]
                if len(found) != 1 or not found[0]:
                    self.wrong(f"batch.{key}", "there is no such list, or it is empty")
                else:
                    counts.setdefault(key, set()).add(len(found[0]))
        if not self.problems and (counts["input"] != counts["output"] or len(counts["input"]) > 1):
            asked, answered = (_listed(counts[key]) for key in ("input", "output"))
            self.wrong("batch", f"{asked} examples and {answered} answers")
        if golden.status not in _SUCCESS:
            self.wrong("batch", "the answer is an error")


def _listed(counts: set[int]) -> str:
    return " or ".join(map(str, sorted(counts)))


def _is_plain(text: str, also: str = "") -> bool:
    """Tell whether `text` is printable ASCII without blanks: nothing can be smuggled in."""
    return bool(text) and all("!" <= char <= "~" or char in also for char in text)


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]
