"""`modelpack.toml` becomes a Spec, or one error that holds everything that is wrong with it."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import tomli

from modelpack.errors import Finding, InputError
from modelpack.spec import Spec, Weights
from modelpack.spec import rules as spec_rules
from modelpack.spec.problems import Problems
from modelpack.spec.structure import decode

MAX_SIZE = 1 << 20
"bytes of a file"
_MANY_PARTS = re.compile(
    r"""(?:(?:(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{1,64}+|"(?:[^"\\\n]|\\.){0,64}+"|'[^'\n]{0,64}+')"""
    r"[ \t]{0,64}+\.[ \t]{0,64}+){16}"
)
"a dotted key of so many parts: parsers need the square of them in memory, this file needs four"
_LINE_SHOWN = 96
"columns of a line in an error"


def parse(data: bytes, *, filename: str = "modelpack.toml") -> Spec:
    """Return the Spec that `data` writes, complete: names and destinations are filled in.

    Raises InputError with a finding for each problem; `at` is the dotted path, or the file, line
    and column of an error of syntax.
    """
    return decode_document(load(data, filename=filename))


def decode_document(document: Mapping[str, Any]) -> Spec:
    """Return the Spec of a TOML document that is already read."""
    schema = document.get("schema")
    if isinstance(schema, int) and schema != spec_rules.SCHEMA:
        raise InputError(
            f"schema {str(schema)[:20]} is not known to this modelpack",
            at="schema",
            hint=f"write `schema = {spec_rules.SCHEMA}`, or install a newer modelpack",
        )
    problems = Problems()
    spec = decode(document, problems)
    spec = replace(spec, weights=tuple(_complete(w, n, spec) for n, w in enumerate(spec.weights)))
    spec_rules.check(spec, problems, weights_at=_weights_places(document, len(spec.weights)))
    if problems.left_out:
        problems.findings.append(Finding(message=f"and {problems.left_out} more problems"))
    if problems.findings:
        raise InputError(*problems.findings)
    return spec


def load(data: bytes, *, filename: str) -> dict[str, Any]:
    """Return the TOML document in `data`; raises InputError that shows where it breaks."""
    if len(data) > MAX_SIZE:
        raise InputError(f"larger than {MAX_SIZE} bytes", at=filename)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            "not UTF-8", at=f"{filename}:{line}", hint="save the file as UTF-8"
        ) from error
    if text.startswith("\ufeff"):  # some editors write it; nobody sees it
        raise InputError(
            "begins with a byte order mark", at=f"{filename}:1",
            hint="save the file as UTF-8 without it",
        )  # fmt: skip
    if many := _MANY_PARTS.search(text):
        line = text.count("\n", 0, many.start()) + 1
        raise InputError("a key of too many parts", at=f"{filename}:{line}")
    try:
        return tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        raise _syntax_error(error, filename) from error
    except RecursionError as error:
        raise InputError("nested too deeply", at=filename) from error
    except ValueError as error:  # Python's limit on the digits of an integer
        raise InputError("a number is too long", at=filename) from error


def _complete(weights: Weights, position: int, spec: Spec) -> Weights:
    name = weights.name or (spec.model.name if position == 0 else "")
    return replace(
        weights,
        name=name,
        destination=weights.destination or (f"/models/{name}" if name else ""),
    )


def _weights_places(document: Mapping[str, Any], count: int) -> tuple[str, ...]:
    if isinstance(document.get("weights"), Mapping):
        return ("weights",)
    return tuple(f"weights[{position}]" for position in range(count))


def _syntax_error(error: tomli.TOMLDecodeError, filename: str) -> InputError:
    message = error.msg[:1].lower() + error.msg[1:]
    lines = error.doc.split("\n")
    line = lines[min(error.lineno, len(lines)) - 1].rstrip("\r")
    where = f"{filename}:{error.lineno}:{error.colno}"
    return InputError(f"{message}\n{_with_caret(line, error.colno)}", at=where)


def _with_caret(line: str, column: int) -> str:
    """Return the part of `line` around the 1-based `column`, and a caret below it."""
    start = max(0, column - 1 - _LINE_SHOWN * 3 // 4)
    shown = [char if char.isprintable() else "�" for char in line[start : start + _LINE_SHOWN]]
    before = shown[: column - 1 - start]
    width = sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in before)
    return f"{''.join(shown)}\n{' ' * width}^"
