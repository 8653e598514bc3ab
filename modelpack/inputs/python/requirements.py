"""Hash-locked dependencies as the author gives them: `requirements.txt` or `pylock.toml`.

Only names, versions and hashes are taken over; nothing is looked up and no option is obeyed.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as PackagingRequirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from modelpack.errors import Finding, InputError
from modelpack.inputs.opening import open_regular
from modelpack.inputs.python.pinned import Requirement, Requirements
from modelpack.inputs.python.target import Target
from modelpack.inputs.quoting import quoted

_SIZE_LIMIT = 64 << 20
_HASH = re.compile(r"(?:^|\s)--hash(?:=|\s+)(\S+)")
_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")
_COMMENT = re.compile(r"(?:^|\s)#.*$")
_USERINFO = re.compile(r"//[^/\s@]*@")
_HARMLESS = ("--require-hashes", "--prefer-binary", "--only-binary :all:", "--only-binary=:all:")
"options that ask for what is done anyway"
_OPTION_HINTS = {
    "-r": "put everything into one lockfile",
    "--requirement": "put everything into one lockfile",
    "-c": "constraints belong to the source: `dependencies.source`",
    "--constraint": "constraints belong to the source: `dependencies.source`",
    "-e": "only wheels are installed; build one and put it on an index",
    "--editable": "only wheels are installed; build one and put it on an index",
    "-i": "name indexes in `dependencies.indexes`; their URLs are this machine's configuration",
}
_RELOCK = "compile it with hashes: `pip-compile --generate-hashes` or `uv pip compile"
_RELOCK += " --generate-hashes`"
_EXPORTS = {
    "poetry.lock": "poetry export --format requirements.txt --output requirements.lock",
    "uv.lock": "uv export --format requirements-txt --no-emit-project"
    " --output-file requirements.lock",
    "Pipfile.lock": "pipenv requirements --hash > requirements.lock",
}


def parse(path: Path, *, target: Target) -> Requirements:
    """Return what the lockfile at `path` pins for `target`.

    Requirements whose marker is false for the target are left out. Raises InputError with one
    finding for every line that is not a pinned and hashed requirement.
    """
    _refuse_foreign_lock(path)
    with open_regular(path) as stream:
        data = stream.read(_SIZE_LIMIT + 1)
    if len(data) > _SIZE_LIMIT:
        raise InputError(f"larger than {_SIZE_LIMIT >> 20} MiB", at=str(path))
    if path.suffix == ".toml":
        from modelpack.inputs.python import pylock  # noqa: PLC0415  only where it is used

        found = pylock.requirements(data, at=str(path), target=target)
    else:
        found = _requirements(data, at=str(path), target=target)
    return Requirements(path=str(path), requirements=tuple(sorted(found, key=lambda one: one.name)))


def _refuse_foreign_lock(path: Path) -> None:
    command = _EXPORTS.get(path.name)
    if command:
        raise InputError(
            f"`{path.name}` is the lock of another tool, for every platform at once",
            at=str(path),
            hint=f"export it, and name the export in `dependencies.lockfile`: `{command}`",
        )


def _requirements(data: bytes, *, at: str, target: Target) -> list[Requirement]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError("is not UTF-8", at=at) from error
    if "\0" in text:
        raise InputError("holds a NUL character", at=at)
    findings: list[Finding] = []
    found: dict[str, Requirement] = {}
    for number, line in _logical_lines(text):
        where = f"{at}:{number}"
        option = _option(line, at=where)
        if option:
            findings.append(option)
        if line.startswith("-"):
            continue
        one = _requirement(line, number=number, at=where, target=target, findings=findings)
        if one is None:
            continue
        if one.name in found:
            findings.append(_twice(one.name, found[one.name].line, at=where))
        found.setdefault(one.name, one)
    if findings:
        raise InputError(*findings)
    return list(found.values())


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield (number, content) with continuations joined and comments taken out, as pip does."""
    started, parts = 0, list[str]()
    for number, line in enumerate(text.split("\n"), 1):
        bare = line.rstrip("\r")
        comment = _COMMENT.match(bare) is not None
        started = started or number
        if bare.endswith("\\") and not comment:
            parts.append(bare[:-1])
            continue
        parts.append("" if comment else bare)
        joined = _COMMENT.sub("", " ".join(parts)).strip()
        if joined:
            yield started, joined
        started, parts = 0, []
    joined = _COMMENT.sub("", " ".join(parts)).strip()
    if joined:
        yield started, joined


def _option(line: str, *, at: str) -> Finding | None:
    """Return what is wrong with a line of options; the values are not shown: they hold secrets."""
    if not line.startswith("-") or " ".join(line.split()) in _HARMLESS:
        return None
    word = re.split(r"[\s=]", line, maxsplit=1)[0]
    name = word if word.startswith("--") else word[:2]
    hint = _OPTION_HINTS.get(name, "")
    if name in ("--index-url", "--extra-index-url", "--find-links", "--trusted-host", "-f"):
        hint = _OPTION_HINTS["-i"]
    return Finding(
        message=f"option {quoted(name)} is not taken from a lockfile",
        at=at,
        hint=hint or "take it out",
        rule="dependencies.option",
    )


def _requirement(
    line: str, *, number: int, at: str, target: Target, findings: list[Finding]
) -> Requirement | None:
    """Return the Requirement on `line`, None where it does not apply; add what is wrong."""
    words = _HASH.sub("", line).strip()
    if " --" in words:
        findings.append(
            Finding(
                message=f"option in {quoted(words)} is not taken from a lockfile",
                at=at,
                hint="take it out",
                rule="dependencies.option",
            )
        )
        return None
    try:
        written = PackagingRequirement(words)
    except InvalidRequirement:
        findings.append(
            Finding(
                message=f"not a requirement `name==version`: {quoted(without_secrets(words))}",
                at=at,
                hint=_RELOCK,
                rule="dependencies.unpinned",
            )
        )
        return None
    if not target.applies(written.marker):
        return None
    hashes, wrong = _hashes(_HASH.findall(line), name=written.name, at=at)
    version = exact_version(written)
    if version is None:
        wrong.append(_unpinned(written, at=at))
    findings.extend(wrong)
    if version is None or wrong:
        return None
    return Requirement(
        name=canonicalize_name(written.name),
        version=version,
        extras=tuple(sorted(canonicalize_name(extra) for extra in written.extras)),
        hashes=hashes,
        line=number,
    )


def _hashes(written: list[str], *, name: str, at: str) -> tuple[tuple[str, ...], list[Finding]]:
    wrong = [
        Finding(
            message=f"{quoted(one)} of `{name}` is not `sha256:` and 64 digits",
            at=at,
            hint=_RELOCK,
            rule="dependencies.unhashed",
        )
        for one in written
        if not _SHA256.fullmatch(one)
    ]
    if not written:
        wrong.append(
            Finding(
                message=f"`{name}` has no hash", at=at, hint=_RELOCK, rule="dependencies.unhashed"
            )
        )
    return tuple(sorted({one.removeprefix("sha256:") for one in written})), wrong


def exact_version(written: PackagingRequirement) -> str | None:
    """Return the one version that `written` allows, or None (PEP 440 "Version matching")."""
    specifiers = list(written.specifier)
    if written.url or len(specifiers) != 1 or specifiers[0].operator != "==":
        return None
    try:
        return str(Version(specifiers[0].version))
    except InvalidVersion:  # `1.*`
        return None


def _unpinned(written: PackagingRequirement, *, at: str) -> Finding:
    if written.url:
        return Finding(
            message=f"`{written.name}` is a URL; only wheels from an index are installed",
            at=at,
            hint=f"put the wheel on an index, then pin `{written.name}==VERSION` with its hash",
            rule="dependencies.unpinned",
        )
    return Finding(
        message=f"`{written.name}` is not pinned to one version with `==`",
        at=at,
        hint=_RELOCK,
        rule="dependencies.unpinned",
    )


def _twice(name: str, line: int, *, at: str) -> Finding:
    return Finding(
        message=f"`{name}` is also pinned in line {line}",
        at=at,
        hint="compile the lockfile for one platform, or take one of the lines out",
        rule="dependencies.duplicate",
    )


def without_secrets(text: str) -> str:
    """Return `text` without the user and password of any URL in it."""
    return _USERINFO.sub("//****@", text)
