"""Licences of a Debian package from its machine-readable copyright file (DEP-5).

Source: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/. A file in no such
format tells nothing here: reading prose would be guessing. It covers the source package.
"""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from modelpack.inputs.debian import deb822
from modelpack.inputs.licenses import UNKNOWN, Licenses, all_of, expression_of

_SIZE_LIMIT = 8 << 20
_SYNOPSIS_LIMIT = 300
_COUNT_LIMIT = 5000
_FORMAT = re.compile(
    r"https?://(?:www|dep)\.debian\.(?:org|net)/.*(?:copyright-format|dep5)", re.IGNORECASE
)
_GNU = re.compile(r"(A?GPL|LGPL|GFDL)-([0-9](?:\.[0-9])?)(\+?)", re.IGNORECASE)
_JOINT = re.compile(r",?\s+(or|and)\s+|\s+(with)\s+|,\s+", re.IGNORECASE)
_SHORT_NAMES: Mapping[str, str] = MappingProxyType({
    "expat": "MIT",
    "artistic": "Artistic-1.0-Perl",
    "bsd-2-clause": "BSD-2-Clause",
    "bsd-3-clause": "BSD-3-Clause",
    "bsd-4-clause": "BSD-4-Clause",
    "perl": "(Artistic-1.0-Perl OR GPL-1.0-or-later)",
    "zlib": "Zlib",
})  # fmt: skip
"short names of the format that SPDX spells otherwise"
_EXCEPTIONS: Mapping[str, str] = MappingProxyType({
    "bison-2.2 exception": "Bison-exception-2.2",
    "classpath exception": "Classpath-exception-2.0",
    "font exception": "Font-exception-2.0",
    "libtool exception": "Libtool-exception",
})  # fmt: skip
"exceptions of which there is one version only"


def licenses(data: bytes) -> Licenses:
    """Return what the copyright file `data` declares for the files of its package."""
    if len(data) > _SIZE_LIMIT:
        return UNKNOWN
    stated = list(_synopses(data.decode(errors="replace")))
    return all_of(stated, known={text: _translated(text) for text in stated})


def _synopses(text: str) -> Iterator[str]:
    """Yield the first line of `License` of each paragraph that is about files."""
    found = deb822.paragraphs(text)
    header = next(found, {})
    if not _FORMAT.match(header.get("Format", header.get("Format-Specification", ""))):
        return
    for number, paragraph in enumerate(found):
        if number > _COUNT_LIMIT:
            return
        synopsis = paragraph.get("License", "").split("\n")[0].strip()
        if "Files" in paragraph and 0 < len(synopsis) <= _SYNOPSIS_LIMIT:
            yield " ".join(synopsis.split())


def _translated(synopsis: str) -> str:
    """Return a synopsis as SPDX expression; empty where one of its words has no counterpart.

    `and` binds tighter than `or`, as in SPDX; a comma before one of them, which turns that round,
    is left to people.
    """
    if re.search(r",\s+(?:or|and)\b", synopsis, re.IGNORECASE):
        return ""
    words = _JOINT.split(synopsis)
    names, joints = words[::3], [a or b for a, b in zip(words[1::3], words[2::3], strict=True)]
    if not all(joints):
        return ""
    parts = [_name(names[0])]
    for joint, name in zip(joints, names[1:], strict=True):
        with_exception = joint.lower() == "with"
        part = _EXCEPTIONS.get(name.lower(), "") if with_exception else _name(name)
        parts += [joint.upper(), part]
    return expression_of(" ".join(parts)) if all(parts) else ""


def _name(short: str) -> str:
    if found := _GNU.fullmatch(short):
        version = found[2] if "." in found[2] else f"{found[2]}.0"
        return f"{found[1].upper()}-{version}-{'or-later' if found[3] else 'only'}"
    return _SHORT_NAMES.get(short.lower(), "") or expression_of(short)
