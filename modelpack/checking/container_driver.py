"""Run one command in a container as a folder runs it; this text is run by itself.

Standard library of Python 3.9 only: the image's own interpreter starts it as `python -I -S`, as the
first process, with which all others end. Argument: JSON, as `modelpack.checking.container` writes
it. What the command writes goes to standard error, what became of it to standard output, as JSON.
Source: pid_namespaces(7).
"""

import json
import os
import signal
import sys
from typing import Any

_CANNOT_RUN = 127


def answer(**found: object) -> None:
    """Say what became of the command, and end, and with this process all others."""
    os.write(1, f"{json.dumps(found)}\n".encode())
    os._exit(0)


def start(argv: "list[str]", environment: "dict[str, str]") -> None:
    """Become the command."""
    os.dup2(2, 1)
    try:
        os.execvpe(argv[0], argv, environment)  # noqa: S606
    except OSError as error:
        os.write(2, f"cannot run {argv[0]!r}: {error.strerror}\n".encode())
    os._exit(_CANNOT_RUN)


def main() -> None:
    """Start the command, and answer how it ended."""
    wanted: dict[str, Any] = json.loads(sys.argv[1])
    child = os.fork()
    if child == 0:
        start(wanted["argv"], wanted["environment"])
    signal.signal(signal.SIGALRM, lambda *_: answer(late=True))
    signal.alarm(wanted["timeout"])
    while True:
        ended, status = os.wait()
        if ended == child:
            answer(status=os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
