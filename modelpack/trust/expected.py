"""What a signature must be to count: about what it may be, and from whom."""

import re
from dataclasses import dataclass

from modelpack.errors import InputError

_PATTERN_LIMIT = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """A text, or all that a regular expression matches from beginning to end."""

    text: str
    regexp: bool = False

    def matches(self, text: str) -> bool:
        """Tell whether `text` is the one, or one of those."""
        if not self.regexp:
            return self.text == text
        return re.fullmatch(self.text, text) is not None

    def __str__(self) -> str:
        return f"/{self.text}/" if self.regexp else self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Somebody whom a certificate authority knows by the word of an OpenID Connect issuer."""

    name: str
    "for reports: the name in the policy, or the option"
    identity: Pattern
    issuer: Pattern

    def __str__(self) -> str:
        return f"{self.identity} (issuer {self.issuer})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """Whoever holds the private half of a key."""

    name: str
    spki: bytes
    "DER SubjectPublicKeyInfo"

    def __str__(self) -> str:
        return f"the key {self.name}"


Signer = Identity | Key


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What one signature must be."""

    predicate_type: str
    "exactly this URI"
    signers: tuple[Signer, ...]
    "any of them; nobody when empty"
    log: bool = True
    "a transparency log must have it; only a signature by key can do without"
    max_age: int | None = None
    "seconds; None: however old"


def pattern(exact: str, regexp: str, *, at: str) -> Pattern:
    """Return the pattern that one of two options gives, or raise InputError."""
    if bool(exact) == bool(regexp):
        raise InputError("give it either exactly or as a regular expression", at=at)
    if not regexp:
        return Pattern(text=exact)
    if problem := wrong_with(regexp):
        raise InputError(problem, at=at)
    return Pattern(text=regexp, regexp=True)


def wrong_with(regexp: str) -> str:
    """Return what is wrong with a regular expression; nothing: it can be used."""
    if len(regexp) > _PATTERN_LIMIT:
        return f"a regular expression of more than {_PATTERN_LIMIT} characters"
    try:
        compiled = re.compile(regexp)
    except (re.error, RecursionError, OverflowError) as error:
        return f"not a regular expression: {error}"
    return "a regular expression that matches even nothing" if compiled.fullmatch("") else ""
