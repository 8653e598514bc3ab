"""The documents of an interface in a project's folder, and the golden requests beside them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from modelpack.errors import Finding, InputError
from modelpack.inputs import patterns
from modelpack.inputs.opening import open_regular
from modelpack.interface import KINDS
from modelpack.interface.reading import LIMIT
from modelpack.spec import Spec

if TYPE_CHECKING:
    from modelpack.inputs.tensor_references import TensorFiles

_GOLDEN_LIMIT: Final = 16 << 20
"bytes of a golden file"
_SKIPPED: Final = (".git", "dist", "node_modules", "__pycache__", ".venv")


def paths(spec: Spec) -> Mapping[str, str]:
    """Return the path of each document that `[interface]` names, by its kind."""
    named = {kind: getattr(spec.interface, kind) for kind in KINDS}
    return {kind: path for kind, path in named.items() if path}


def read(root: Path, spec: Spec) -> Mapping[str, bytes]:
    """Return the bytes of each document by its kind; raise InputError with all that is wrong."""
    found: dict[str, bytes] = {}
    problems: list[Finding] = []
    for kind, path in paths(spec).items():
        at = f"interface.{kind}"
        try:
            found[kind] = _content(root, path, at, limit=LIMIT)
        except InputError as error:
            problems += error.findings
    if problems:
        raise InputError(*problems)
    return found


def golden(root: Path, spec: Spec) -> Mapping[str, bytes]:
    """Return the files that `test.golden` means, by their path in the project.

    With the numbers of tensors that they name; those that say nothing in JSON over HTTP are left
    out: calls of functions, and bodies that are files of tensors.
    """
    if not spec.test.golden:
        return {}
    from modelpack.inputs import tensor_references  # noqa: PLC0415  not for a build

    selected = patterns.select(
        root, spec.test.golden, tensor_references.TENSORS, skip_dirs=_SKIPPED
    )
    files = tensor_references.TensorFiles(root)
    found = {path: _content(root, path, path, limit=_GOLDEN_LIMIT) for path in selected.paths}
    told = {path: _as_json(data, path, files) for path, data in found.items()}
    return {path: data for path, data in told.items() if data is not None}


def _as_json(data: bytes, path: str, files: "TensorFiles") -> bytes | None:
    """Return a golden file without references to tensors; None: it is none of JSON over HTTP."""
    from modelpack.inputs import tensor_references  # noqa: PLC0415  not for a build

    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return data  # who judges it says so
    sides = [value.get(key) for key in ("request", "response")] if isinstance(value, dict) else []
    tables = [one for one in sides if isinstance(one, dict)]
    if any(key in table for table in tables for key in ("call", "tensors")):
        return None
    problems: list[Finding] = []

    def wrong(at: str, message: str) -> None:
        problems.append(Finding(message=message, at=f"{path}: {at}", rule="test.golden"))

    expanded = tensor_references.expand(value, files.near(path), wrong, "")
    plain = tensor_references.plain(expanded, wrong, "")
    if problems:
        raise InputError(*problems)
    return json.dumps(plain).encode()


def _content(root: Path, path: str, at: str, *, limit: int) -> bytes:
    if not (root / path).resolve().is_relative_to(root.resolve()):
        raise InputError(f"`{path}` does not lie in the project", at=at)
    with open_regular(root / path, at=at) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise InputError(f"`{path}` is larger than {limit >> 20} MiB", at=at)
    return data
