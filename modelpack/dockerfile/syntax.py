"""Values in a Dockerfile: the one way in, so that no value is ever read as syntax.

Source: the Dockerfile reference ("Parser directives", "Environment replacement", "Exec form") and
the parser that classic builder and BuildKit share.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from modelpack.errors import InputError

_BARE = re.compile(r"[A-Za-z0-9_/][A-Za-z0-9_./:@+,-]*")
"what means itself wherever a value may stand"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SPECIAL = re.compile(r'["$\\]')
"what a double-quoted word reads as syntax: its end, a variable, an escape"


@dataclass(frozen=True, slots=True)
class Quoted:
    """Text that may stand in a Dockerfile; nothing else gets out of the template."""

    text: str


def quote(value: str | int | Sequence[str], *, at: str = "") -> Quoted:
    """Return `value` as a Dockerfile writes it: a word, or the JSON array of an exec form.

    `at` names the value in messages. Raises InputError for a word with a control character, which
    no Dockerfile can hold: lines end there, and there is no escape for it.
    """
    if isinstance(value, int):
        return Quoted(str(value))
    if not isinstance(value, str):
        return Quoted(json.dumps(list(value), ensure_ascii=False))
    if found := _CONTROL.search(value):
        raise InputError(
            f"a Dockerfile cannot hold the control character U+{ord(found[0]):04X}", at=at,
            hint="take it out, or let `modelpack build` make the image",
        )  # fmt: skip
    if _BARE.fullmatch(value):
        return Quoted(value)
    return Quoted('"' + _SPECIAL.sub(r"\\\g<0>", value) + '"')


def pair(name: str, value: str, *, at: str = "") -> Quoted:
    """Return `NAME=value` for ENV and LABEL; raises InputError for a name that needs quoting."""
    if not _BARE.fullmatch(name):
        raise InputError("a Dockerfile cannot set a variable or label of this name", at=at)
    return Quoted(f"{name}={quote(value, at=at).text}")


def output(value: object) -> str:
    """Return what the template prints of `value`: only a Quoted has a text (jinja2's finalize)."""
    if not isinstance(value, Quoted):
        raise TypeError(f"the template prints a value that was not quoted: {type(value).__name__}")
    return value.text
