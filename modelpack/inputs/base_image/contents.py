"""What was found in an image that is to be a base: a value that is remembered by digest."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelpack import canonical_json

VERSION = 1
"of what is looked for: another one makes what was remembered worthless"


@dataclass(frozen=True, slots=True, kw_only=True)
class Python:
    """An interpreter with its standard library."""

    path: str
    "the file itself, no link: `/usr/local/bin/python3.13`"
    version: str
    "`3.13.5`; empty where nothing says it"
    proof: str
    "the file whose bytes say the version"
    machine: str
    "that it runs on, as in uname; empty where we do not know it"

    @property
    def minor(self) -> str:
        """`3.13`."""
        return self.path.rpartition("/python")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finds:
    """Paths of one kind: the first few, and how many there are."""

    paths: tuple[str, ...] = ()
    count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What an image holds, as far as a base is asked for it."""

    pythons: tuple[Python, ...]
    "in the order of PATH"
    default: str
    "the path among them that `python3` leads to; empty where it leads to none"
    without_library: tuple[str, ...]
    "interpreters that lack their standard library"
    glibc: str
    "`2.41`; empty where there is none"
    musl: bool
    certificates: tuple[str, ...]
    "files of certificates that are trusted"
    shells: Finds
    package_managers: Finds
    compilers: Finds
    setuid: Finds
    writable: Finds
    "root's, and writable by everybody"
    folders: tuple[str, ...]
    "outside of the system's own: folders with something else than folders in them"
    links: tuple[str, ...]
    "outside of the system's own, not deep: what is no folder"
    sampled: bool
    "whether `folders` or `links` were too many to be kept"


def dump(contents: Contents) -> bytes:
    """Return `contents` as it is remembered."""
    return canonical_json.pretty({"version": VERSION, **canonical_json.plain(contents)})


def parse(data: bytes) -> Contents | None:
    """Return what `dump` made; None for anything else, which is then found anew."""
    try:
        value = json.loads(data)
        if value.pop("version") != VERSION:
            return None
        return Contents(**{key.replace("-", "_"): _value(key, item) for key, item in value.items()})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _value(key: str, item: Any) -> Any:  # noqa: ANN401  of any field
    if key == "pythons":
        return tuple(Python(**python) for python in item)
    if isinstance(item, Mapping):
        return Finds(paths=tuple(item["paths"]), count=item["count"])
    return tuple(item) if isinstance(item, list) else item
