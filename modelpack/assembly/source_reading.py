"""Code, revision and time, read at the door and gated: the Source of one build."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from modelpack.digest import of as digest_of
from modelpack.errors import Finding, InputError, Refused
from modelpack.inputs import code as code_inputs
from modelpack.inputs import git
from modelpack.inputs import interface as interface_inputs
from modelpack.inputs.code import ReadCode
from modelpack.inputs.machine import Machine
from modelpack.source import Source
from modelpack.spec import Spec

NO_REVISION = "none"
_REVISION = re.compile(r"[\x21-\x7e]{1,200}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeAndSource:
    """The code with its content, and what the plan needs of it."""

    code: ReadCode
    source: Source
    findings: tuple[Finding, ...]
    "warnings of the gates"
    interface: Mapping[str, bytes] = field(default_factory=dict)
    "documents of `[interface]`, by their kind"


def read_source(
    root: Path,
    spec: Spec,
    *,
    committed: Iterable[Path],
    epoch: int,
    revision: str | None,
    source_date_epoch: int | None,
    machine: Machine,
) -> CodeAndSource:
    """Read the code below `root`, refuse what must not be in it, and find its commit.

    `committed` are further files (spec and lock) that make a build dirty when they differ from
    the commit. `revision` replaces git's, and nothing is compared with it; `source_date_epoch`
    replaces the commit's time, and the lock's `epoch` stands in for it where there is no commit.
    Raises Refused with all findings.
    """
    if revision is not None and not _REVISION.fullmatch(revision):
        raise InputError("not a revision: one word of printable characters", at="--revision",
                         hint="`--revision none` records none")  # fmt: skip
    folder = root / spec.code.path
    leave_out = frozenset(
        (root / weights.path).resolve() for weights in spec.weights if weights.path
    )
    if not folder.is_dir():
        raise InputError(f"`{spec.code.path}` is not a folder", at="code.path")
    code, unfit = code_inputs.find(folder, spec.code, leave_out=leave_out)
    findings = (*unfit, *_secrets(code))
    if any(finding.severity == "error" for finding in findings):
        raise Refused(*findings)
    interface = read_interface(root, spec)
    commit = None
    if revision is None:
        commit = git.head(folder, environment=machine.environment)
    changed: tuple[str, ...] = ()
    if commit is not None:
        files = {**_modes(code), **_others(folder, (*committed, *_interface_files(root, spec)))}
        changed = git.changed(folder, files, environment=machine.environment)
    created = commit.time if commit else epoch
    if source_date_epoch is not None:
        created = source_date_epoch
    named = commit.revision if commit else ("" if revision in (None, NO_REVISION) else revision)
    return CodeAndSource(
        code=code,
        source=Source(
            files=code.files, revision=named or "", dirty=bool(changed) if commit else None,
            created=created,
            digest=code.digest,
            interface={kind: digest_of(data) for kind, data in interface.items()},
        ),
        findings=findings,
        interface=interface,
    )  # fmt: skip


def read_interface(root: Path, spec: Spec) -> Mapping[str, bytes]:
    """Return the documents of the interface, validated; raise InputError with all findings."""
    documents = interface_inputs.read(root, spec)
    if documents:
        from modelpack.checks import interface  # noqa: PLC0415  only where there is one

        interface.gate(documents)
    return documents


def _interface_files(root: Path, spec: Spec) -> Iterable[Path]:
    return (root / path for path in interface_inputs.paths(spec).values())


def _secrets(code: ReadCode) -> tuple[Finding, ...]:
    from modelpack.checks.secrets import gate as secrets  # noqa: PLC0415

    return tuple(
        finding
        for file in code.files
        if not file.link
        for finding in secrets.findings_in_content(code.contents[file.path], at=file.path)
    )


def _modes(code: ReadCode) -> Mapping[str, tuple[bytes, str]]:
    """Return content and git mode of each file."""
    return {
        file.path: (
            code.contents[file.path],
            "120000" if file.link else "100755" if file.executable else "100644",
        )
        for file in code.files
    }


def _others(folder: Path, paths: Iterable[Path]) -> Mapping[str, tuple[bytes, str]]:
    """Return the files among `paths` that lie below `folder`, as git would name them."""
    found = {}
    for path in paths:
        if path.is_file() and path.resolve().is_relative_to(folder.resolve()):
            name = str(path.resolve().relative_to(folder.resolve()))
            found[name] = (path.read_bytes(), "100644")
    return found
