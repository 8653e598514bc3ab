"""`modelpack check`: every gate that needs no build."""

from pathlib import Path

import click

from modelpack.cli.output import Output, with_output
from modelpack.cli.place import as_document, open_machine, open_project, project_options


@click.command("check")
@project_options
@with_output
def command(*, output: Output, folder: Path | None, file: Path | None) -> None:
    """Look for all that would refuse a build: in spec, lock, requirements, weights and code.

    All findings at once, and nothing is written. Exit status 1 when a gate refuses, 2 when only
    the spec or the lock is wrong; warnings alone are 0.
    """
    from modelpack import pipeline  # noqa: PLC0415
    from modelpack.cli import display, gpu_memory  # noqa: PLC0415

    this = open_project(folder, file)
    findings = pipeline.check(this, machine=open_machine(output))
    memory = gpu_memory.tell(output, this.spec, this.lock)
    output.result(
        text="\n".join(display.finding(f) for f in findings) or "nothing found",
        document={"findings": as_document(findings), "gpu_memory": memory},
    )
