"""From options to the Project and the Machine that the pipeline works with."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from modelpack.cli import environment
from modelpack.cli.frame.output import Output
from modelpack.errors import Finding
from modelpack.inputs.machine import Machine
from modelpack.project import Project, read


def project_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the argument DIR and the option `--file`."""
    function = click.option(
        "--file", type=click.Path(path_type=Path), metavar="F",
        help="Use this file, not DIR/modelpack.toml; its lock is F with the suffix .lock.",
    )(function)  # fmt: skip
    return click.argument(
        "folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path, readable=False)
    )(function)


def open_project(folder: Path | None, file: Path | None) -> Project:
    """Read the project in DIR (default: where the file is); `--file` names another file."""
    if folder is None:
        folder = file.parent if file else Path()
    return read(folder, file=file)


def open_machine(output: Output, *, offline: bool = False) -> Machine:
    """Return what this machine lends to a build."""
    return environment.machine(offline=offline, progress=output.progress())


def warn(output: Output, findings: tuple[Finding, ...]) -> None:
    """Tell warnings on stderr."""
    from modelpack.cli import display  # noqa: PLC0415

    for finding in findings:
        if not output.quiet:
            click.echo(display.finding(finding), err=True)


def as_document(findings: tuple[Finding, ...]) -> list[dict[str, Any]]:
    """Return findings as JSON."""
    from modelpack.cli import display  # noqa: PLC0415

    return [display.plain(finding) for finding in findings]
