"""docs/commands.md says what the commands say of themselves; rewritten by `make golden`."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import click

from modelpack.cli import SECTIONS, group

PAGE = Path(__file__).parents[2] / "docs" / "commands.md"
EVERYWHERE = {"--json", "--quiet", "--verbose", "--help"}
HEAD = """# Commands

What `modelpack COMMAND --help` says, in one place. Written by `make golden`; do not edit.

Every command takes `--json` (results as [documented](json.md) JSON), `-q` (results and errors
only) and `-v` (more; tracebacks). Results are on stdout, talk is on stderr. Exit status: 0 yes, 1
the answer is no, 2 bad spec, stale lock or usage, 3 could not find out.

`IMAGE` is a project folder (`.`: the image last built there), `oci:FOLDER[:TAG|@DIGEST]`,
`oci-archive:FILE`, `docker-archive:FILE`, `docker-daemon:NAME`, `containers-storage:NAME`, or a
name in a registry.
"""


def described(command: click.Command, context: click.Context) -> Iterator[str]:
    """Yield the lines about one command, and about those below it."""
    usage = " ".join(command.collect_usage_pieces(context)).replace("[OPTIONS]", "").split()
    yield f"\n### `{' '.join(['modelpack', *context.command_path.split(), *usage])}`\n"
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        yield escaped(" ".join(paragraph.split())) + "\n"
    for param in command.get_params(context):
        record = param.get_help_record(context)
        if record is None or not record[1] or EVERYWHERE & set(param.opts):
            continue
        yield f"- `{record[0]}`: {escaped(record[1])}"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is None:
                raise LookupError(name)
            yield from described(child, click.Context(child, info_name=name, parent=context))


def escaped(text: str) -> str:
    """Return `text`, in which `*`, `<` and `_` outside code are themselves."""
    return "".join(
        part if part.startswith("`") else re.sub(r"([*<_])", r"\\\1", part)
        for part in re.split(r"(`[^`]*`)", text)
    )


def reference() -> str:
    """Return the whole page."""
    root = click.Context(group, info_name="", terminal_width=10_000, max_content_width=10_000)
    lines = [HEAD]
    for title, commands in SECTIONS.items():
        lines.append(f"\n## {title}")
        for name in commands:
            command = group.get_command(root, name)
            if command is None:
                raise LookupError(name)
            lines += described(command, click.Context(command, info_name=name, parent=root))
    return "\n".join(lines) + "\n"


def test_the_page_is_what_the_commands_say(rewrite: bool) -> None:
    if rewrite:
        PAGE.write_text(reference(), encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == reference()
