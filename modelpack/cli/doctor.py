"""`modelpack doctor`: what this machine lacks, and for which command."""

from pathlib import Path

import click

from modelpack.cli.frame.output import Output, with_output

_MARKS = {"ok": "ok", "limited": "-", "missing": "MISSING"}
_NO = 1
"exit status: something that a command needs is missing"


@click.command("doctor")
@click.option("--online", is_flag=True, help="Also ask mirrors and the package index.")
@with_output
def command(output: Output, online: bool) -> None:
    """Show what this machine lacks, and for which command.

    Ends with 1 when something is missing that a command cannot do without.
    """
    from modelpack.builders import capability as builder_capability  # noqa: PLC0415
    from modelpack.cli import display, environment  # noqa: PLC0415
    from modelpack.inputs import capabilities  # noqa: PLC0415

    machine = environment.machine()
    found = (
        *capabilities.probe(machine, Path(), online=online),
        builder_capability.probe(machine),
    )  # fmt: skip
    rows = [(_MARKS[c.state], c.name, c.found, c.needed_for) for c in found]
    table = display.table(rows, head=("", "what", "found", "needed for"))
    hints = [f"  hint: {c.name}: {c.hint}" for c in found if c.hint]
    missing = [c.name for c in found if c.state == "missing"]
    output.result(
        text="\n".join((table, *hints)),
        document={"capabilities": [display.plain(c) for c in found], "missing": missing},
    )
    if missing:
        click.get_current_context().exit(_NO)
