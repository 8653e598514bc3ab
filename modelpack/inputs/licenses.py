"""What a package says of its licence: an SPDX expression where it is one, else its own words.

Nothing is guessed: a word that can mean several licences stays a word.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

_EXPRESSION_LIMIT: Final = 1000
_WORD_LIMIT: Final = 120
"characters of a licence's name; what is longer is its text"
_NAMES_LIMIT: Final = 100
_PREFIX: Final = "License :: "
_OSI: Final = "OSI Approved :: "


@dataclass(frozen=True, slots=True, kw_only=True)
class Licenses:
    """A declared licence; both members empty: nothing is known."""

    expression: str = ""
    "SPDX, normalized"
    names: tuple[str, ...] = ()
    "as stated, or SPDX identifiers, where there is no expression for all of it"

    def __bool__(self) -> bool:
        return bool(self.expression or self.names)


UNKNOWN: Final = Licenses()


def expression_of(text: str) -> str:
    """Return `text` as a normalized SPDX expression, or an empty string when it is none."""
    from packaging.licenses import (  # noqa: PLC0415  long tables
        InvalidLicenseExpression,
        canonicalize_license_expression,
    )

    if not text.strip() or len(text) > _EXPRESSION_LIMIT:
        return ""
    try:
        return str(canonicalize_license_expression(text))
    except (InvalidLicenseExpression, SyntaxError, ValueError, MemoryError, RecursionError):
        return ""


def all_of(statements: Iterable[str], *, known: Mapping[str, str]) -> Licenses:
    """Return what several statements that all hold say together.

    `known` has the SPDX expression of those that are words for one.
    """
    distinct = sorted(set(statements))
    expressions = {text: known.get(text, "") or expression_of(text) for text in distinct}
    if distinct and all(expressions.values()):
        parts = sorted(set(expressions.values()))
        return Licenses(expression=" AND ".join(_part(part, len(parts)) for part in parts))
    names = [expressions[text] or text for text in distinct]
    return Licenses(names=tuple(dict.fromkeys(names[:_NAMES_LIMIT])))


def of_python(expression: str, text: str, classifiers: Sequence[str]) -> Licenses:
    """Return the licence of a Python package: PEP 639's expression, else what was before it."""
    if found := expression_of(expression):
        return Licenses(expression=found)
    word = text.strip()
    word = "" if "\n" in word or len(word) > _WORD_LIMIT or word.lower() == "unknown" else word
    if found := _WORDS.get(word.lower(), "") or expression_of(word):
        return Licenses(expression=found)
    stated = dict.fromkeys(
        item.removeprefix(_PREFIX).removeprefix(_OSI).strip()
        for item in classifiers
        if item.startswith(_PREFIX) and item != f"{_PREFIX}OSI Approved"
    )
    if len(stated) == 1 and (found := _CLASSIFIERS.get(next(iter(stated)), "")):
        return Licenses(expression=found)
    # Several classifiers may mean "one of them" or "all of them": only their words are known.
    names = [*stated][:_NAMES_LIMIT] or ([word] if word else [])
    return Licenses(names=tuple(name for name in names if 0 < len(name) <= _WORD_LIMIT))


def _part(expression: str, count: int) -> str:
    return f"({expression})" if count > 1 and " OR " in expression else expression


_WORDS: Mapping[str, str] = MappingProxyType({
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license 2.0": "Apache-2.0",
    "apache-2": "Apache-2.0",
    "bsd 2-clause": "BSD-2-Clause",
    "bsd 3-clause": "BSD-3-Clause",
    "bsd 3-clause license": "BSD-3-Clause",
    "3-clause bsd license": "BSD-3-Clause",
    "isc license": "ISC",
    "mit license": "MIT",
    "mpl 2.0": "MPL-2.0",
    "mozilla public license 2.0": "MPL-2.0",
    "the mit license": "MIT",
    "the unlicense": "Unlicense",
})  # fmt: skip
"what people write into `License` and can mean only one thing"

_CLASSIFIERS: Mapping[str, str] = MappingProxyType({
    "Blue Oak Model License (BlueOak-1.0.0)": "BlueOak-1.0.0",
    "Boost Software License 1.0 (BSL-1.0)": "BSL-1.0",
    "CC0 1.0 Universal (CC0 1.0) Public Domain Dedication": "CC0-1.0",
    "Eclipse Public License 1.0 (EPL-1.0)": "EPL-1.0",
    "Eclipse Public License 2.0 (EPL-2.0)": "EPL-2.0",
    "European Union Public Licence 1.1 (EUPL 1.1)": "EUPL-1.1",
    "European Union Public Licence 1.2 (EUPL 1.2)": "EUPL-1.2",
    "GNU Affero General Public License v3": "AGPL-3.0-only",
    "GNU Affero General Public License v3 or later (AGPLv3+)": "AGPL-3.0-or-later",
    "GNU General Public License v2 (GPLv2)": "GPL-2.0-only",
    "GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
    "GNU General Public License v3 (GPLv3)": "GPL-3.0-only",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "GNU Lesser General Public License v2 (LGPLv2)": "LGPL-2.0-only",
    "GNU Lesser General Public License v2 or later (LGPLv2+)": "LGPL-2.0-or-later",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "Historical Permission Notice and Disclaimer (HPND)": "HPND",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "Mozilla Public License 1.1 (MPL 1.1)": "MPL-1.1",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Mulan Permissive Software License v2 (MulanPSL-2.0)": "MulanPSL-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "Universal Permissive License (UPL)": "UPL-1.0",
    "University of Illinois/NCSA Open Source License": "NCSA",
    "Zero-Clause BSD (0BSD)": "0BSD",
})  # fmt: skip
"classifiers that name one SPDX licence (PEP 639, appendix, has those that do not)"
