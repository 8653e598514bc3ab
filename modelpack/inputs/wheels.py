"""Wheels to a virtual environment as a Tree: nothing is executed, every member is checked."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from modelpack.lock import Interpreter, Wheel
from modelpack.oci.tree import Tree


def tree(
    wheels: Sequence[Wheel],
    paths: Mapping[str, Path],
    *,
    interpreter: Interpreter,
    scratch: Path,
    venv: str = "opt/venv",
) -> Tree:
    """Return the virtual environment that holds `wheels`, whose files are `paths` by sha256."""
    raise NotImplementedError
