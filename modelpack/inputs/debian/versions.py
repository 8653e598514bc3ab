"""Debian's versions and relations between packages (Policy 5.6.12 and 7.1)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from modelpack.errors import InputError

Part = tuple[tuple[tuple[int, ...], int], ...]
Key = tuple[int, Part, Part]
"epoch, upstream version and revision, comparable"

_VERSION = re.compile(
    r"(?:([0-9]{1,9}):([A-Za-z0-9.+~:-]+?)|([A-Za-z0-9.+~-]+?))(?:-([A-Za-z0-9.+~]+))?(?<!-)"
)
"epoch and upstream version, which may hold colons only after an epoch; revision"
_MAX_LENGTH = 256
_NON_LETTER = 256
"what puts every other character behind the letters"
_END = (((0,), 0),)
_RELATION = re.compile(
    r"([a-z0-9][a-z0-9+.-]*)(?::[a-z0-9-]+)?\s*(?:\(\s*(<<|<=|=|>=|>>|<|>)\s*([^)\s]+)\s*\))?"
    r"\s*(?:\[[^\]]*\])?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """`name (operator version)`; any version will do when `operator` is empty."""

    name: str
    operator: str = ""
    version: str = ""

    def allows(self, version: str) -> bool:
        """Tell whether a package of this name and `version` is meant."""
        if not self.operator:
            return True
        mine, theirs = key(self.version), key(version)
        match self.operator:
            case "<<":
                return theirs < mine
            case "<=" | "<":  # the obsolete signs mean "or equal"
                return theirs <= mine
            case ">=" | ">":
                return theirs >= mine
            case ">>":
                return theirs > mine
            case _:
                return theirs == mine

    def __str__(self) -> str:
        return f"{self.name} ({self.operator} {self.version})" if self.operator else self.name


Clause = tuple[Relation, ...]
"alternatives, the preferred one first"


def key(version: str) -> Key:
    """Return what sorts as `dpkg --compare-versions` does; equal keys are equal versions.

    Raises InputError for what is not a version.
    """
    found = _VERSION.fullmatch(version) if len(version) <= _MAX_LENGTH else None
    if found is None:
        raise InputError(f"not a Debian version: `{version[:40]!a}`")
    epoch, later, alone, revision = found.groups(default="")
    return int(epoch or 0), _part_key(later or alone), _part_key(revision)


def upstream(version: str) -> str:
    """Return `version` without its epoch and its revision."""
    found = _VERSION.fullmatch(version)
    return (found[2] or found[3]) if found else version


def clauses(field: str) -> Iterator[Clause]:
    """Yield the comma-separated clauses of a Depends, Provides or Breaks field.

    Raises InputError for what does not follow the syntax.
    """
    for clause in field.split(","):
        if clause.strip():
            yield tuple(_relation(option.strip()) for option in clause.split("|"))


def _relation(text: str) -> Relation:
    found = _RELATION.fullmatch(text)
    if found is None:
        raise InputError(f"not a relation between packages: `{text[:60]!a}`")
    name, operator, version = found.groups(default="")
    if operator:
        key(version)
    return Relation(name=name, operator=operator, version=version)


def _part_key(part: str) -> Part:
    """Alternate text and number; in text `~` sorts before the end, letters before the rest."""
    pairs = tuple(
        ((*(_weight(character) for character in text), 0), int(number or 0))
        for text, number in re.findall(r"(\D*)(\d*)", part or "0")
        if text or number
    )
    return pairs + _END


def _weight(character: str) -> int:
    if character == "~":
        return -1
    return ord(character) + (0 if character.isalpha() else _NON_LETTER)
