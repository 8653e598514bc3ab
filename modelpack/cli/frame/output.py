"""What every command takes and gives: `--json`, `-q`, `-v`, results on stdout, talk on stderr."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from modelpack.progress import Progress

SCHEMA = 1
"version of every JSON document that a command prints"


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Where one command's results and messages go."""

    as_json: bool
    quiet: bool
    verbose: bool

    def say(self, message: str) -> None:
        """Tell the person who waits, on stderr; silent with `-q`."""
        from modelpack.cli.display import escape  # noqa: PLC0415  not for `--help`

        if not self.quiet:
            click.echo(escape(message), err=True)

    def result(self, *, text: str, document: Mapping[str, Any]) -> None:
        """Print the command's one result on stdout: `text`, or with `--json` the `document`."""
        from modelpack.cli import display  # noqa: PLC0415

        if self.as_json:
            click.echo(display.to_json({"schema": SCHEMA, **document}))
        else:
            click.echo(display.escape_lines(text))

    def progress(self) -> "Progress":
        """Return what shows long work on stderr; silent with `-q`, without bars off a terminal."""
        from modelpack.cli.display.terminal import progress_for  # noqa: PLC0415

        return progress_for(quiet=self.quiet)


def _options() -> list[click.Option]:
    return [
        click.Option(["--json", "as_json"], is_flag=True, help="Print JSON."),
        click.Option(["-q", "--quiet"], is_flag=True, help="Print results and errors only."),
        click.Option(["-v", "--verbose"], is_flag=True, help="Say more; show tracebacks."),
    ]


def with_output(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options `--json`, `-q`, `-v`, and the argument `output`."""

    @functools.wraps(function)
    def wrapped(*, as_json: bool, quiet: bool, verbose: bool, **values: Any) -> None:  # noqa: ANN401
        function(output=Output(as_json=as_json, quiet=quiet, verbose=verbose), **values)

    params = [*reversed(_options()), *getattr(function, "__click_params__", [])]
    wrapped.__click_params__ = params  # type: ignore[attr-defined]
    return wrapped


def complete(command: click.Command) -> click.Command:
    """Make `command` and what is below it accept the options that every command takes."""
    if isinstance(command, click.Group):
        for child in command.commands.values():
            complete(child)
        return command
    names = {name for param in command.params for name in param.opts}
    for option in _options():
        if not names & set(option.opts):
            option.expose_value = False
            command.params.append(option)
    return command
