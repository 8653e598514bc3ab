"""Secrets that must not get into an image: keys, tokens, passwords and files made to hold them.

A finding names the rule and the line and never the secret; a line that says
`pragma: allowlist secret` or `gitleaks:allow` makes warnings of its findings.
"""

import codecs
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

from modelpack.checks.secrets import assignments as secret_assignments
from modelpack.checks.secrets import files as secret_files
from modelpack.checks.secrets.assignments import is_placeholder, is_sample
from modelpack.checks.secrets.rules import RULES
from modelpack.errors import Finding, InputError
from modelpack.inputs.opening import open_regular
from modelpack.inputs.quoting import quoted

HEAD_LIMIT = 10 << 20
TAIL_LIMIT = 1 << 20
"bytes of a large file that are scanned: its first ten megabytes and its last one"

_CHUNK = 1 << 20
_OVERLAP = 8192
"characters that two chunks have in common: more than the longest secret with its name"
_SNIFF = 8192
_SHOWN_LIMIT = 50
_ALLOWED = re.compile(r"pragma: allowlist secret|gitleaks:allow")
_NEAR = 400
_HINT = "remove it and revoke it; pass secrets when the container starts"


class _Place(NamedTuple):
    """A secret in a text: where it begins and what it is."""

    start: int
    rule: str
    says: str
    secret: str


def findings_in_file(path: Path, at: str) -> tuple[Finding, ...]:
    """Return the secrets in the file at `path`, called `at`: by its name and by what it contains.

    Binary files are judged by their name only; of large ones the head and the tail are read, in
    chunks, so that memory does not grow with the file.
    """
    found = list(findings_in_name(at))
    try:
        with open_regular(path, at=at) as file:
            size = file.seek(0, 2)
            found += _scan(_chunks(file, 0, min(size, HEAD_LIMIT)), at)
            if size > HEAD_LIMIT:
                tail = _chunks(file, max(HEAD_LIMIT, size - TAIL_LIMIT), size)
                found += _scan(tail, f"{at}:end")
    except InputError as error:
        found += error.findings
    except OSError as error:
        found.append(Finding(message=f"cannot be read: {error.strerror}", at=at))
    return tuple(found)


def _chunks(file: BinaryIO, position: int, end: int) -> Iterator[str]:
    """Yield the text between two positions; nothing for binary data."""
    file.seek(position)
    piece = file.read(min(_CHUNK, end - position))
    encoding = _encoding(piece) if position == 0 else "utf-8"
    if not encoding:
        return
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    while piece:
        yield decoder.decode(piece)
        position += len(piece)
        piece = file.read(min(_CHUNK, end - position))


def _encoding(head: bytes) -> str:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    return "" if b"\0" in head[:_SNIFF] else "utf-8"


def findings_in_content(content: bytes, at: str) -> tuple[Finding, ...]:
    """Return the secrets in a file that is in memory, called by its relative path `at`."""
    encoding = _encoding(content)
    text = content[:HEAD_LIMIT].decode(encoding, "replace") if encoding else ""
    return (*findings_in_name(at), *findings_in_text(text, at))


def findings_in_name(at: str) -> Iterator[Finding]:
    """Yield what the relative path `at` says: files and folders that are made to hold secrets."""
    reason = secret_files.reason(at)
    if reason:
        yield _finding("secrets.file", reason, at)


def findings_in_text(text: str, at: str) -> tuple[Finding, ...]:
    """Return the secrets in `text`, called `at`, in the order of their lines."""
    starts = range(0, len(text), _CHUNK)
    return tuple(_scan((text[start : start + _CHUNK] for start in starts), at))


def findings_in_values(values: Mapping[str, str], at: str) -> tuple[Finding, ...]:
    """Return the secrets among `values`, such as an environment or labels, each at `at.key`."""
    found: list[Finding] = []
    for key in sorted(values):
        place = f"{at}.{key}"
        inside = findings_in_text(values[key], place)
        found += [_finding(finding.rule, finding.message, place) for finding in inside]
        if not inside and secret_assignments.of_pair(key, values[key]):
            says = f"a secret under the name {quoted(key, 40)}"
            found.append(_finding("secrets.assignment", f"{says}: {_masked(values[key])}", place))
    return tuple(found)


def _scan(chunks: Iterable[str], at: str) -> Iterator[Finding]:
    """Yield the findings of a text that comes in chunks, each place once, at most fifty."""
    carry, offset, line, covered, shown = "", 0, 1, 0, 0
    for chunk in chunks:
        text = carry + chunk
        for place in _places(text):
            end = place.start + len(place.secret)
            if offset + place.start < covered:
                continue
            covered = offset + end
            if shown == _SHOWN_LIMIT:
                yield _finding("secrets.more", "more secrets than are shown", at)
                return
            shown += 1
            number = line + text.count("\n", 0, place.start)
            message = f"{place.says}: {_masked(place.secret)}"
            allowed = _ALLOWED.search(_line_around(text, place.start, end)) is not None
            yield _finding(f"secrets.{place.rule}", message, f"{at}:{number}", allowed=allowed)
        counted = max(0, len(text) - _OVERLAP)
        line += text.count("\n", 0, counted)
        offset += counted
        carry = text[counted:]


def _places(text: str) -> list[_Place]:
    """Return where secrets begin in `text`, in order; issuers' rules before the general one."""
    places: list[_Place] = []
    lowered = text.lower()
    for rule in RULES:
        if any(word in lowered for word in rule.words):
            for match in re.finditer(rule.pattern, text):
                secret = match["secret"]
                harmless = is_placeholder if rule.chosen else is_sample
                if not harmless(secret):
                    places.append(_Place(match.start("secret"), rule.name, rule.says, secret))
    if any(word in lowered for word in secret_assignments.WORDS):
        for name, secret, start in secret_assignments.find(text):
            says = f"a secret under the name {quoted(name, 40)}"
            places.append(_Place(start, "assignment", says, secret))
    return sorted(places, key=lambda place: (place.start, place.rule == "assignment", place))


def _line_around(text: str, start: int, end: int) -> str:
    """Return the line that the place lies in, as far as it is near."""
    before = text[max(0, start - _NEAR) : start].rpartition("\n")[2]
    return before + text[start:end] + text[end : end + _NEAR].partition("\n")[0]


def _masked(secret: str) -> str:
    """Return what may be shown of `secret`: at most its first four characters."""
    shown = secret[:4] if len(secret) >= 16 else ""  # noqa: PLR2004  prefixes are public
    return f"{quoted(shown + '…')} ({len(secret)} characters)"


def _finding(rule: str, message: str, at: str, *, allowed: bool = False) -> Finding:
    severity: Literal["error", "warning"] = "warning" if allowed else "error"
    return Finding(message=message, at=at, hint=_HINT, rule=rule, severity=severity)
