"""What a lockfile pins, of whatever form the lockfile is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One distribution pinned to a version and to the files that may stand for it."""

    name: str
    "normalized, PEP 503"
    version: str
    extras: tuple[str, ...] = ()
    "normalized and sorted"
    hashes: tuple[str, ...]
    "sha256 in hexadecimal, sorted"
    line: int = 0
    "1 for the first; 0 where the file has no such thing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """Everything that a lockfile pins for one target, by name."""

    path: str
    requirements: tuple[Requirement, ...]
