"""Secrets that must not get into an image: keys, tokens, passwords and files made to hold them.

A finding names the rule and the line and never the secret; a line that says
`pragma: allowlist secret` or `gitleaks:allow` makes warnings of its findings.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from modelpack.checks import secret_assignments
from modelpack.checks.secret_assignments import is_placeholder, is_sample
from modelpack.checks.secret_rules import RULES
from modelpack.errors import Finding, InputError
from modelpack.inputs.opening import open_regular
from modelpack.inputs.quoting import quoted

HEAD_LIMIT = 10 << 20
TAIL_LIMIT = 1 << 20
"bytes of a large file that are scanned: its first ten megabytes and its last one"

_SNIFF = 8192
_SHOWN_LIMIT = 50
_ALLOWED = re.compile(r"pragma: allowlist secret|gitleaks:allow")
_NEAR = 400
_HINT = "remove it and revoke it; pass secrets when the container starts"
_FOLDERS = {
    ".git": "the history of a git repository",
    ".hg": "the history of a repository",
    ".svn": "the history of a repository",
    ".ssh": "keys of SSH",
    ".aws": "logins of AWS",
    ".gnupg": "keys of GnuPG",
    ".kube": "logins of Kubernetes",
    ".azure": "logins of Azure",
    ".gcloud": "logins of Google Cloud",
}
_NAMES = re.compile(
    r"\.env(?:\.(?!(?:example|sample|template|dist|schema|defaults)$).{1,64})?|\.envrc|[._]netrc|\.pypirc"
    r"|\.pgpass|\.my\.cnf|\.htpasswd|\.git-credentials|\.boto|\.s3cfg|\.vault-token|\.dockercfg"
    r"|\.dockerconfigjson|id_(?:rsa|dsa|ecdsa|ed25519)(?:_sk)?|credentials\.tfrc\.json|\.terraformrc"
    r"|application_default_credentials\.json|kubeconfig|.{1,200}\.kubeconfig"
    r"|.{1,200}\.(?:p12|pfx|jks|keystore|kdbx|ppk|tfstate|tfstate\.backup|agekey|ovpn)",
    re.IGNORECASE | re.DOTALL,
)


def findings_in_file(path: Path, at: str) -> tuple[Finding, ...]:
    """Return the secrets in the file at `path`, called `at`: by its name and by what it contains.

    Binary files are judged by their name only; of large ones the head and the tail are read.
    """
    found = list(findings_in_name(at))
    try:
        with open_regular(path, at=at) as file:
            size = file.seek(0, 2)
            file.seek(0)
            head = file.read(min(size, HEAD_LIMIT))
            text = _decode(head)
            if text is None:
                return tuple(found)
            found += findings_in_text(text, at)
            if size > HEAD_LIMIT:
                file.seek(max(HEAD_LIMIT, size - TAIL_LIMIT))
                tail = file.read(TAIL_LIMIT).decode("utf-8", "replace")
                found += findings_in_text(tail, f"{at}:end")
    except InputError as error:
        found += error.findings
    except OSError as error:
        found.append(Finding(message=f"cannot be read: {error.strerror}", at=at))
    return tuple(found)


def findings_in_content(content: bytes, at: str) -> tuple[Finding, ...]:
    """Return the secrets in a file that is in memory, called by its relative path `at`."""
    text = _decode(content[:HEAD_LIMIT])
    found = () if text is None else findings_in_text(text, at)
    return (*findings_in_name(at), *found)


def findings_in_name(at: str) -> Iterator[Finding]:
    """Yield what the relative path `at` says: files and folders that are made to hold secrets."""
    *folders, base = at.split("/")
    for folder in folders:
        if folder.lower() in _FOLDERS:
            yield _finding(
                "secrets.file", f"lies in {quoted(folder)}: {_FOLDERS[folder.lower()]}", at
            )
            return
    if base.lower() in (".git", ".hg"):
        yield _finding("secrets.file", _FOLDERS[base.lower()], at)
    elif _NAMES.fullmatch(base):
        yield _finding("secrets.file", f"{quoted(base)} is a file that holds secrets", at)


def findings_in_text(text: str, at: str) -> tuple[Finding, ...]:
    """Return the secrets in `text`, called `at`, in the order of their lines."""
    places: list[_Place] = []
    lowered = text.lower()
    for rule in RULES:
        if any(word in lowered for word in rule.words):
            for match in rule.pattern.finditer(text):
                secret = match["secret"]
                harmless = is_placeholder if rule.chosen else is_sample
                if not harmless(secret):
                    places.append(_Place(match.start("secret"), rule.name, rule.says, secret))
    if any(word in lowered for word in secret_assignments.WORDS):
        for name, secret, start in secret_assignments.find(text):
            says = f"a secret under the name {quoted(name, 40)}"
            places.append(_Place(start, "assignment", says, secret))
    return tuple(_of_places(text, at, places))


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


class _Place(NamedTuple):
    start: int
    rule: str
    says: str
    secret: str


def _of_places(text: str, at: str, places: list[_Place]) -> Iterator[Finding]:
    """Turn places into findings, the first of those that overlap, with their line numbers."""
    line, counted, covered, shown = 1, 0, -1, 0
    ordered = sorted(places, key=lambda place: (place.start, place.rule == "assignment", place))
    for start, name, says, secret in ordered:
        end = start + len(secret)
        if start < covered:
            continue
        covered = end
        if shown == _SHOWN_LIMIT:
            yield _finding("secrets.more", "more secrets than are shown", at)
            return
        shown += 1
        line += text.count("\n", counted, start)
        counted = start
        message = f"{says}: {_masked(secret)}"
        allowed = _ALLOWED.search(_line_around(text, start, end)) is not None
        yield _finding(f"secrets.{name}", message, f"{at}:{line}", allowed=allowed)


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


def _decode(head: bytes) -> str | None:
    """Return `head` as text, or None for binary data."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return head.decode("utf-16", "replace")
    if b"\0" in head[:_SNIFF]:
        return None
    return head.decode("utf-8", "replace")
