"""The golden files of a project, and the files of tensors that they name."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from modelpack.digest import Digest
from modelpack.digest import of as digest_of
from modelpack.errors import Finding, InputError
from modelpack.functional.comparing import parse
from modelpack.functional.golden import Golden
from modelpack.functional.golden_reading import Reader
from modelpack.inputs import patterns
from modelpack.inputs.opening import open_regular
from modelpack.inputs.tensor_references import TENSORS, TensorFiles

LIMIT: Final = 16 << 20
"bytes of a golden file"
_FILES: Final = 1000
_SKIPPED: Final = (".git", "dist", "node_modules", "__pycache__", ".venv")


def paths(root: Path, wanted: Sequence[str]) -> tuple[str, ...]:
    """Return the golden files that patterns mean, without the files of tensors beside them."""
    if not wanted:
        return ()
    return patterns.select(root, wanted, TENSORS, skip_dirs=_SKIPPED).paths


def read(root: Path, wanted: Sequence[str]) -> tuple[Golden, ...]:
    """Return the golden files of a project; raise InputError with all that is wrong."""
    if not wanted:
        raise InputError(
            "there are no golden requests", at="test.golden",
            hint='write them and say where: [test] golden = ["golden/*.json"]',
        )  # fmt: skip
    found_paths = paths(root, wanted)
    if not found_paths:
        raise InputError(f"no file matches {', '.join(wanted)}", at="test.golden")
    if len(found_paths) > _FILES:
        raise InputError(f"more than {_FILES} files", at="test.golden")
    files = TensorFiles(root)
    found: list[Golden] = []
    problems: list[Finding] = []
    for path in found_paths:
        with open_regular(root / path) as file:
            data = file.read(LIMIT + 1)
        try:
            found.append(decode(data, name=path, files=files))
        except InputError as error:
            problems += error.findings
    if problems:
        raise InputError(*problems)
    return tuple(found)


def digests(golden: Sequence[Golden]) -> Mapping[str, Digest]:
    """Return what was asked and expected: the golden files, then the tensors that they name."""
    tensors = {path: digest for one in golden for path, digest in sorted(one.files.items())}
    return {**{one.name: one.digest for one in golden}, **tensors}


def decode(data: bytes, *, name: str, files: TensorFiles) -> Golden:
    """Return the golden file in `data`, which may name `files`; InputError: all that is wrong."""
    if len(data) > LIMIT:
        raise InputError(f"larger than {LIMIT} bytes", at=name)
    try:
        value = parse(data)
    except ValueError as error:
        raise InputError(f"not JSON: {error}", at=name) from error
    reader = Reader(name, files.near(name))
    golden = reader.golden(value, digest_of(data))
    if reader.problems:
        raise InputError(*reader.problems)
    return golden
