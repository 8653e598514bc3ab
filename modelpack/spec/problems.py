"""What is wrong with a TOML file, noted place by place, and how a place is written."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from modelpack.errors import Finding
from modelpack.spec.grammar import SPEC

MOST_FINDINGS = 100
"more than a person reads, few enough to find quickly in a hostile file"

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


class Wrong:
    """Stands for a value that was reported and cannot be used."""


WRONG: Final = Wrong()


@dataclass(slots=True)
class Problems:
    """What is wrong so far; a place is reported once, and nothing below a wrong place is."""

    rules: str = SPEC.rules
    findings: list[Finding] = field(default_factory=list)
    left_out: int = 0
    _places: set[str] = field(default_factory=set)

    @property
    def full(self) -> bool:
        """Whether further problems are only counted."""
        return len(self.findings) >= MOST_FINDINGS

    def add(self, at: str, message: str, *, hint: str = "", rule: str) -> Wrong:
        """Note a problem at the dotted path `at`, unless one is known there or above."""
        if self.known(at):
            return WRONG
        self._places.add(at)
        if self.full:
            self.left_out += 1
        else:
            self.findings.append(
                Finding(message=message, at=at, hint=hint, rule=f"{self.rules}.{rule}")
            )
        return WRONG

    def known(self, at: str) -> bool:
        """Whether a problem was noted at `at` or at a table or array around it."""
        ends = (m.start() for m in re.finditer(r"[.\[]", at))
        return at in self._places or any(at[:end] in self._places for end in ends)


def dotted(at: str, key: str) -> str:
    """Return the dotted path of `key` in the table at `at`, quoted as TOML does."""
    written = key if _BARE_KEY.fullmatch(key) else f'"{shown(key)}"'
    return f"{at}.{written}" if at else written


def shown(value: object) -> str:
    """Return `value` short enough for a message."""
    text = str(value) if not isinstance(value, bool) else str(value).lower()
    return text if len(text) <= 60 else f"{text[:57]}…"  # noqa: PLR2004  a part of a line


def similar(word: str, known: Sequence[str]) -> str:
    """Return a hint with the most similar of `known`, or nothing."""
    import difflib  # noqa: PLC0415  only for mistakes

    near = difflib.get_close_matches(word[:64], known, n=1)
    return f"did you mean `{near[0]}`?" if near else ""
