"""What pip installed elsewhere, held against the wheels: nothing gets in that none vouches for.

Every file is the member of a wheel, with the bytes of its RECORD, or is written here as for an
environment that was made without pip (RECORD, INSTALLER, launchers). Bytecode alone is taken on
trust.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from modelpack.errors import Finding, Refused
from modelpack.inputs.python import wheels as wheel_inputs
from modelpack.inputs.python.wheel_archive import encoded
from modelpack.inputs.quoting import quoted
from modelpack.lock import Interpreter, Wheel
from modelpack.oci.tar import bytes_of, chunks, size_of
from modelpack.oci.tree import Tree

if TYPE_CHECKING:
    from modelpack.inputs.python.wheel_archive import Member
    from modelpack.oci.tar import Content, Entry

_CHUNK = 1 << 20
_SHOWN = 10
"findings of one kind: a builder that lies once may lie often"
_OWN_LAUNCHERS = re.compile(r"bin/pip[0-9.]*")
"pip writes `pip`, `pip3` and `pip3.13` for itself, whatever its wheel says"
_BYTECODE = re.compile(r"(.*)/__pycache__/([^/]+)\.cpython-([0-9]+)\.pyc")
_UNCHECKED = (1).to_bytes(4, "little")
"""PEP 552: bytecode that carries its source's hash, which is not compared when it is loaded."""


def check(
    wheels: Sequence[Wheel], paths: Mapping[str, Path], *, interpreter: Interpreter, scratch: Path
) -> None:
    """Raise Refused for wheels that are hostile or in conflict, as far as can be told unread."""
    wheel_inputs.tree(
        wheels, paths, interpreter=interpreter, scratch=scratch, elsewhere=_as_stated
    )  # fmt: skip


def environment(
    found: Tree,
    wheels: Sequence[Wheel],
    paths: Mapping[str, Path],
    *,
    interpreter: Interpreter,
    scratch: Path,
    venv: str,
    bytecode: bool,
) -> Tree:
    """Return the environment that `found` is, in every path, mode and byte as without pip.

    Raises Refused naming what is missing from it, is other than it should be, or is too much.
    """

    def taken(place: str, member: "Member") -> "tuple[Content, str]":
        entry = found.get(place)
        if entry is None or entry.kind != "file":
            raise Refused(f"{quoted(place)} was not installed")
        return entry.content, member.vouch_for(chunks(entry.content, _CHUNK))

    result = wheel_inputs.tree(
        wheels, paths, interpreter=interpreter, scratch=scratch, venv=venv, elsewhere=taken
    )  # fmt: skip
    strange = [
        path for path, entry in found.items()
        if entry.kind != "directory" and not _expected(path, entry, result, venv)
    ]  # fmt: skip
    compiled = _bytecode(found, strange, result, interpreter) if bytecode else {}
    findings = [
        Finding(message=f"{quoted(path)} comes from no wheel", rule="dependencies.foreign-file")
        for path in strange
        if path not in compiled
    ]
    findings += [
        Finding(message=f"{quoted(path)} was not installed", rule="dependencies.missing-file")
        for path in result
        if path not in found
    ]
    if findings:
        raise Refused(*findings[:_SHOWN])
    for path, entry in compiled.items():
        result.file(path, entry.content, owner="bytecode")
    return result


def _as_stated(place: str, member: "Member") -> "tuple[Content, str]":  # noqa: ARG001
    """Take the digest from RECORD, and itself as the content: equal where the bytes are equal."""
    digest = member.stated
    if digest is None:
        own = hashlib.sha256()
        while chunk := member.read(_CHUNK):
            own.update(chunk)
        digest = encoded(own.digest())
    return digest.encode(), digest


def _expected(path: str, entry: "Entry", result: Tree, venv: str) -> bool:
    """Tell whether pip may have left `entry` there; members were compared when they were taken."""
    known = result.get(path)
    if known is None:
        launcher = _OWN_LAUNCHERS.fullmatch(path.removeprefix(f"{venv}/"))
        return launcher is not None and f"{venv}/bin/pip" in result
    if known.kind != entry.kind or known.target != entry.target:
        return False
    if path == f"{venv}/pyvenv.cfg":
        return size_of(entry.content) < _CHUNK and bytes_of(entry.content) == known.content
    return True


def _bytecode(
    found: Tree, paths: Sequence[str], result: Tree, interpreter: Interpreter
) -> "Mapping[str, Entry]":
    """Return what among `paths` is bytecode of a module in `result`, by PEP 552 not to be checked.

    All of it has the magic number of one interpreter.
    """
    tag = interpreter.minor.replace(".", "")
    compiled: dict[str, Entry] = {}
    magic = b""
    for path in paths:
        place = _BYTECODE.fullmatch(path)
        source = result.get(f"{place[1]}/{place[2]}.py") if place and place[3] == tag else None
        if source is None or source.kind != "file" or found[path].kind != "file":
            continue
        head = next(chunks(found[path].content, 8), b"")
        magic = magic or head[:4]
        if head == magic + _UNCHECKED:
            compiled[path] = found[path]
    return compiled
