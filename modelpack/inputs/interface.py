"""The documents of an interface in a project's folder, and the golden requests beside them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from modelpack.errors import Finding, InputError
from modelpack.inputs import patterns
from modelpack.inputs.opening import open_regular
from modelpack.interface import KINDS
from modelpack.interface.reading import LIMIT
from modelpack.spec import Spec

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
    """Return the files that `test.golden` means, by their path in the project."""
    if not spec.test.golden:
        return {}
    selected = patterns.select(root, spec.test.golden, skip_dirs=_SKIPPED)
    return {path: _content(root, path, path, limit=_GOLDEN_LIMIT) for path in selected.paths}


def _content(root: Path, path: str, at: str, *, limit: int) -> bytes:
    if not (root / path).resolve().is_relative_to(root.resolve()):
        raise InputError(f"`{path}` does not lie in the project", at=at)
    with open_regular(root / path, at=at) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise InputError(f"`{path}` is larger than {limit >> 20} MiB", at=at)
    return data
