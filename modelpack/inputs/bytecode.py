"""Deterministic bytecode, compiled by the base's own interpreter through its own loader."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelpack.lock import Interpreter
from modelpack.oci.tar import Content
from modelpack.oci.tree import Tree
from modelpack.platform import Platform
from modelpack.progress import SILENT, Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseInterpreter:
    """The interpreter of a base whose files lie in a folder of this machine."""

    root: Path
    interpreter: Interpreter
    platform: Platform

    @classmethod
    def extract(
        cls, tree: Tree, root: Path, *, interpreter: Interpreter, platform: Platform
    ) -> "BaseInterpreter":
        """Write the files of a base to `root`, a folder that is not there yet."""
        raise NotImplementedError

    @property
    def argv(self) -> tuple[str, ...]:
        """The command that starts it: loader, library path, interpreter."""
        raise NotImplementedError

    @property
    def runnable(self) -> bool:
        """Whether this machine can run it."""
        raise NotImplementedError


def compile(  # noqa: A001  the field's word
    tree: Tree,
    *,
    sources: Sequence[tuple[str, tuple[str, ...]]],
    base_root: Path,
    interpreter: Interpreter,
    platform: Platform,
    scratch: Path,
    cache: Path | None = None,
    progress: Progress = SILENT,
) -> Mapping[str, Content]:
    """Return the bytecode of `sources` (label, paths in `tree`) by its path in the image."""
    raise NotImplementedError
