"""Which release of transformers first has which model: `transformers_releases.json`.

Made from the wheels by `tests/tools/transformers_releases.py`, which says how; looked up by minor
version.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import NamedTuple

Minor = tuple[int, int]
_TABLE = "transformers_releases.json"


class Span(NamedTuple):
    """The releases that have something."""

    first: Minor
    gone: Minor | None
    "the first one that has it no longer; None: the last one looked at still has it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Releases:
    """What was looked up, and when."""

    looked_up: str
    source: str
    earliest: Minor
    "what this one has may have come with it, or before"
    last: Minor
    types: Mapping[str, Span]
    "by `model_type`"
    classes: Mapping[str, Span]
    "by name, as `architectures` has them"


@cache
def table() -> Releases:
    """Return the table."""
    value = json.loads(files("modelpack.checks.libraries").joinpath(_TABLE).read_bytes())
    return Releases(
        looked_up=value["looked-up"],
        source=value["source"],
        earliest=_minor(value["from"]),
        last=_minor(value["to"]),
        types=_spans(value["types"], value["dropped-types"]),
        classes=_spans(value["classes"], value["dropped-classes"]),
    )


def _spans(came: Mapping[str, str], went: Mapping[str, str]) -> Mapping[str, Span]:
    gone = dict(_by_name(went.items()))
    return {name: Span(minor, gone.get(name)) for name, minor in _by_name(came.items())}


def _by_name(items: Iterable[tuple[str, str]]) -> Iterable[tuple[str, Minor]]:
    return ((name, _minor(version)) for version, names in items for name in names.split())


def _minor(text: str) -> Minor:
    major, minor = text.split(".")
    return int(major), int(minor)
