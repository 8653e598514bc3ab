"""pip-tools under the interpreter that the image will run: `requirements.in` to a lockfile."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from modelpack.inputs.bytecode import BaseInterpreter
from modelpack.inputs.python_target import Target
from modelpack.progress import SILENT, Progress


def find_interpreter(
    target: Target, *, base: BaseInterpreter | None, environment: Mapping[str, str]
) -> tuple[str, ...]:
    """Return the command of an interpreter that is `target`, or raise Unavailable."""
    raise NotImplementedError


def compile(  # noqa: A001  the field's word
    source: Path,
    output: Path,
    *,
    interpreter_argv: Sequence[str],
    environment: Mapping[str, str],
    indexes: Mapping[str, str | None],
    upgrade: bool = False,
    upgrade_packages: Sequence[str] = (),
    progress: Progress = SILENT,
) -> None:
    """Write the hash-locked requirements of `source` to `output`, whole or not at all."""
    raise NotImplementedError
