"""Markdown that a CI system or a model hub shows: whatever a value holds, it is read as text.

Source: CommonMark 0.31, "Backslash escapes": any ASCII punctuation may be escaped; GitHub
Flavored Markdown, "Tables".
"""

import re
from collections.abc import Sequence

from modelpack.cli import display

_ANYWHERE = r"[\\`*_\[\]<>&|~$@#!{}]|:(?=//)|(?<=www)\."
"""emphasis, code, links, HTML, tables, mathematics, templates, addresses that become links"""
_AT_THE_START = r"^[-+=](?=[-=\s]|$)|^(?P<number>[0-9]{1,9})(?P<end>[.)])(?=\s|$)"
"""lists, rules and underlines"""
_MEANING = re.compile(f"{_ANYWHERE}|{_AT_THE_START}", re.IGNORECASE)
_CODE = re.compile(r"[A-Za-z0-9._:/@+-]+")


def text(value: str) -> str:
    """Return `value` as it is, on one line."""
    return _MEANING.sub(_escaped, display.escape(value))


def _escaped(found: re.Match[str]) -> str:
    if found["number"]:
        return f"{found['number']}\\{found['end']}"
    return f"\\{found[0]}"


def code(value: str) -> str:
    """Return `value` as code where it is a plain word, else as text."""
    return f"`{value}`" if _CODE.fullmatch(value) else text(value)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> str:
    """Return a table of cells that are Markdown; the columns in `right` are flush right."""
    rule = ["--:" if column in right else "---" for column in range(len(head))]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))
