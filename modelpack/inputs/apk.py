"""What apk, the package manager of Alpine and Wolfi, records of what is installed; hostile text.

Source: apk-package(5) and apk-tools, `src/database.c`: paragraphs of `letter:value`, in
`lib/apk/db/installed`, or below `usr` since apk-tools 3.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from modelpack.inputs.licenses import UNKNOWN, Licenses, expression_of

DATABASE: Final = re.compile(r"(?:usr/)?lib/apk/db/installed")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]{0,200}")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._~-]{0,200}")
_END = re.compile(r"[<>=~@]")
"ends the name in a requirement: `so:libc.so.6=1`, `busybox>1.36`"
_RECORDS = 100_000
_WORDS = 2_000
"of one list"
_LONGEST = 120
"characters of a licence's name"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One installed package."""

    name: str
    version: str
    architecture: str
    origin: str
    "the package that it was built from, of the same version"
    licenses: Licenses
    depends: tuple[str, ...]
    "names of packages that are installed, in order"


def records(content: bytes) -> Iterator[Record]:
    """Yield the packages that a database names; what is no record is passed over."""
    found = list(_paragraphs(content.decode(errors="replace")))
    providers: dict[str, str] = {}
    for fields in found:
        for word in (fields["P"], *_words(fields.get("p", ""))):
            providers.setdefault(word, fields["P"])
    for fields in found:
        needed = (providers.get(word, "") for word in _words(fields.get("D", "")))
        origin = fields.get("o", "")
        yield Record(
            name=fields["P"], version=fields["V"],
            architecture=_plain(fields.get("A", "")),
            origin=origin if _NAME.fullmatch(origin) else fields["P"],
            licenses=_licenses(fields.get("L", "")),
            depends=tuple(dict.fromkeys(name for name in needed if name not in ("", fields["P"]))),
        )  # fmt: skip


def _paragraphs(text: str) -> Iterator[Mapping[str, str]]:
    for paragraph in text.split("\n\n", _RECORDS)[:_RECORDS]:
        # Lines about files follow the fields, with the same letters again.
        fields: dict[str, str] = {}
        for line in paragraph.split("\n"):
            letter, colon, value = line.partition(":")
            if letter == "F":
                break
            if colon and len(letter) == 1:
                fields.setdefault(letter, value)
        if _NAME.fullmatch(fields.get("P", "")) and _VERSION.fullmatch(fields.get("V", "")):
            yield fields


def _words(text: str) -> Iterator[str]:
    """Yield the names in a list of requirements; of what must not be there, none."""
    for word in text.split(" ", _WORDS)[:_WORDS]:
        name = _END.split(word, maxsplit=1)[0]
        if name and not name.startswith("!"):
            yield name


def _plain(text: str) -> str:
    return text if _NAME.fullmatch(text) else ""


def _licenses(text: str) -> Licenses:
    """Return the licence: an SPDX expression, as Alpine's policy is; older ones are words."""
    if expression := expression_of(text):
        return Licenses(expression=expression)
    word = text.strip()
    if not word or len(word) > _LONGEST or not word.isprintable():
        return UNKNOWN
    return Licenses(names=(word,))
