"""Whether a licence expression leaves only licences that are denied.

Source: SPDX specification 2.3, annex D, "SPDX license expressions".
"""

import re
from collections.abc import Iterable

_TOKEN = re.compile(r"\(|\)|[^\s()]+")
_GNU = re.compile(r"(?:a|l)?gpl-[0-9.]+|gfdl-[0-9.]+")
_DEEPEST = 50


def denied(expression: str, denied_ids: Iterable[str]) -> tuple[str, ...]:
    """Return the denied licences that bind whoever uses something under `expression`.

    Of alternatives (`OR`) one may choose; an exception (`WITH`) is more permission and counts as
    the licence itself. In what is no expression every word counts.
    """
    wanted = {_normal(item): item for item in denied_ids}
    tokens = _TOKEN.findall(expression)
    parser = _Parser(tokens, frozenset(wanted))
    binding = parser.whole()
    if binding is None:
        binding = frozenset(map(_normal, tokens)) & frozenset(wanted)
    return tuple(sorted(wanted[item] for item in binding))


def _normal(identifier: str) -> str:
    """Return one spelling for all of a licence: `GPL-3.0+` is `GPL-3.0-or-later`."""
    text = identifier.lower()
    if text.endswith("+"):
        text = f"{text[:-1]}-or-later" if _GNU.fullmatch(text[:-1]) else text[:-1]
    return f"{text}-only" if _GNU.fullmatch(text) else text


class _Parser:
    """Recursive descent; every method returns the denied licences that cannot be avoided."""

    def __init__(self, tokens: list[str], wanted: frozenset[str]) -> None:
        self._tokens, self._wanted = tokens, wanted
        self._at = 0

    def whole(self) -> frozenset[str] | None:
        """Return the verdict on all tokens; None: they are no expression."""
        found = self._any(0)
        return found if self._at == len(self._tokens) else None

    def _next(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self, word: str) -> bool:
        if self._next().upper() != word:
            return False
        self._at += 1
        return True

    def _any(self, depth: int) -> frozenset[str] | None:
        choices = [self._all(depth)]
        while self._take("OR"):
            choices.append(self._all(depth))
        known = [choice for choice in choices if choice is not None]
        if len(known) != len(choices):
            return None
        return frozenset[str]().union(*known) if all(known) else frozenset()

    def _all(self, depth: int) -> frozenset[str] | None:
        parts = [self._one(depth)]
        while self._take("AND"):
            parts.append(self._one(depth))
        known = [part for part in parts if part is not None]
        return frozenset[str]().union(*known) if len(known) == len(parts) else None

    def _one(self, depth: int) -> frozenset[str] | None:
        if self._take("("):
            inner = self._any(depth + 1) if depth < _DEEPEST else None
            return inner if self._take(")") else None
        name = self._next()
        if not name or name == ")" or name.upper() in ("AND", "OR", "WITH"):
            return None
        self._at += 1
        if self._take("WITH"):
            self._at += 1
        return frozenset({_normal(name)}) & self._wanted
