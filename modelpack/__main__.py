"""The process: arguments in, exit status out, whatever happens between.

Exit status: 0 yes, 1 the answer is no, 2 bad input, 3 could not find out (`modelpack.errors`);
70 a fault of ours, 130 interrupted, 141 nobody reads the output, 143 told to end.
"""

import gc
import os
import signal
import sys
from types import FrameType

import click

from modelpack.cli import group
from modelpack.cli.frame.completing import answer_shell

INTERRUPTED = 130
NO_READER = 141
TOLD_TO_END = 143
_GARBAGE = 50_000
"objects in cycles at most, before they are looked for"


class Terminated(BaseException):
    """SIGTERM or SIGHUP arrived; unwinds like Ctrl-C, so that temporary files go."""


def main(argv: list[str] | None = None) -> None:
    """Run the command line and exit."""
    # Importing makes ten thousands of objects that all stay: looking for garbage among them at
    # every 700th took a tenth of a build after an edit of code.
    gc.set_threshold(_GARBAGE)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _terminate)
    status = _run(sys.argv[1:] if argv is None else argv)
    for number in (signal.SIGTERM, signal.SIGHUP):
        # All is done: there is nothing to unwind, and nobody to catch.
        signal.signal(number, signal.SIG_DFL)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _forget_stdout()
        status = NO_READER
    sys.exit(status)


def _run(argv: list[str]) -> int:  # noqa: PLR0911  one for each way to end
    try:
        if answer_shell(group):
            return 0
        with group.make_context("modelpack", argv or ["--help"]) as context:
            group.invoke(context)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except Terminated:
        return TOLD_TO_END
    except BrokenPipeError:
        _forget_stdout()
        return NO_READER
    except Exception as error:  # noqa: BLE001  the last stop: no traceback reaches the user
        if (status := _signalled(error)) is not None:
            return status
        from modelpack.cli.frame import failure  # noqa: PLC0415  only when something failed

        words = [*argv, "--"][: [*argv, "--"].index("--")]
        return failure.report(
            error, as_json="--json" in words, verbose="-v" in words or "--verbose" in words
        )
    return 0


def _signalled(error: BaseException) -> int | None:
    """Return the status of the signal during whose unwinding `error` came up; None without one."""
    context = error.__context__
    while context is not None:
        if isinstance(context, Terminated):
            return TOLD_TO_END
        if isinstance(context, KeyboardInterrupt):
            return INTERRUPTED
        context = context.__context__
    return None


def _terminate(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    raise Terminated


def _forget_stdout() -> None:
    """Point stdout at nothing, so that the interpreter's own flush at exit is quiet."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
