"""From an exception to what a person or a program reads, and to the exit status."""

import click

from modelpack.cli import display
from modelpack.cli.frame.output import SCHEMA
from modelpack.errors import Finding, InputError, ModelpackError, Unavailable

INTERNAL = 70
"exit status after a fault of ours (EX_SOFTWARE of sysexits.h)"


def report(error: BaseException, *, as_json: bool, verbose: bool) -> int:
    """Print `error` and return the exit status."""
    known = _known(error)
    findings = known.findings if known else (_internal(error),)
    status = known.exit_code if known else INTERNAL
    if verbose and (known is None or error.__cause__):
        import traceback  # noqa: PLC0415

        text = "".join(traceback.format_exception(error))
        click.echo(display.escape_lines(text), err=True, nl=False)
    if as_json:
        document = {"exit_code": status, "findings": [display.plain(f) for f in findings]}
        click.echo(display.to_json({"schema": SCHEMA, "error": document}))
    else:
        for finding in findings:
            click.echo(display.finding(finding), err=True)
    return status


def _known(error: BaseException) -> ModelpackError | None:
    if isinstance(error, ModelpackError):
        return error
    if isinstance(error, click.ClickException):
        return _usage(error)
    if isinstance(error, OSError) and error.strerror:
        where = error.filename if isinstance(error.filename, str) else ""
        return Unavailable(error.strerror[:1].lower() + error.strerror[1:], at=where)
    return None


def _usage(error: click.ClickException) -> InputError:
    message = error.format_message().rstrip(".").replace("\n\t", " ")
    message, _, hint = message.partition(" — ")
    context = getattr(error, "ctx", None)
    if not hint and context is not None:
        hint = f"{context.command_path} --help"
    return InputError(message[:1].lower() + message[1:], hint=hint)


def _internal(error: BaseException) -> Finding:
    return Finding(
        message=f"internal error: {type(error).__name__}: {error}".rstrip(": "),
        hint="run the command again with `-v` and report what it prints",
        rule="internal",
    )
