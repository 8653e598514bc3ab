"""The one door to other programs: argument vectors, never a shell, a chosen environment."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, BinaryIO

from modelpack.errors import Unavailable

_LINE_LIMIT = 64 << 10
"bytes of one line; what is longer is handed over in parts"
_GRACE = 10.0
"seconds that a program has to end by itself when it is told to"


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """How a program ended and what it said."""

    status: int
    stdout: bytes
    stderr: bytes

    def last_lines(self, count: int = 5) -> str:
        """Return the last lines that the program wrote to stderr, or else to stdout."""
        text = (self.stderr.strip() or self.stdout.strip()).decode(errors="replace")
        return "\n".join(text.splitlines()[-count:])


def run(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str],
    cwd: str | None = None,
    stdin: bytes = b"",
    timeout: float | None = None,
) -> Completed:
    """Run `argv` with exactly this `environment` and return how it ended.

    Raises Unavailable when the program is missing, cannot be started or runs past `timeout`
    seconds.
    """
    try:
        done = subprocess.run(
            list(argv),
            input=stdin,
            capture_output=True,
            env=dict(environment),
            cwd=cwd,
            timeout=timeout,
            check=False,
        )
    except OSError as error:
        raise Unavailable(f"cannot run `{argv[0]}`: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"`{argv[0]}` did not end within {timeout} seconds") from error
    return Completed(status=done.returncode, stdout=done.stdout, stderr=done.stderr)


def stream(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str],
    output: BinaryIO,
    said: Callable[[str], None],
    cwd: str | None = None,
    timeout: float | None = None,
) -> int:
    """Run `argv`, its standard output into the file `output`; return its exit status.

    Every line of standard error goes to `said` as it is written; none is kept. However this is
    left, also by Ctrl-C, the program has ended then, with what it started: it is told to end, and
    killed when it does not. Raises Unavailable when it cannot be started, or was killed because
    it ran past `timeout` seconds.
    """
    try:
        child = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            env=dict(environment),
            cwd=cwd,
            # A group of its own: Ctrl-C reaches it through us alone, and its children with it.
            start_new_session=True,
        )
    except OSError as error:
        raise Unavailable(f"cannot run `{argv[0]}`: {error.strerror}") from error
    late = threading.Event()

    def kill() -> None:
        late.set()
        _signal(child, signal.SIGKILL)

    try:
        with alarm(timeout, kill):
            if child.stderr is not None:
                for line in _lines(child.stderr):
                    said(line)
            status = child.wait()
    finally:
        _end(child)
    if late.is_set():
        raise Unavailable(f"`{argv[0]}` did not end within {timeout} seconds")
    return status


@contextmanager
def conversation(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str],
    cwd: str | None = None,
    timeout: float,
) -> Iterator[Callable[[bytes], bytes]]:
    """Start `argv`; yield how to tell it a line and get the one line that it answers.

    However this is left, the program has ended then, with what it started. Raises Unavailable
    when it cannot be started, answers nothing, or ran past `timeout` seconds.
    """
    import tempfile  # noqa: PLC0415  not for a code-only build

    with tempfile.TemporaryFile() as said:
        try:
            child = subprocess.Popen(
                list(argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said,
                env=dict(environment), cwd=cwd, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise Unavailable(f"cannot run `{argv[0]}`: {error.strerror}") from error
        late = threading.Event()

        def kill() -> None:
            late.set()
            _signal(child, signal.SIGKILL)

        def tell(line: bytes) -> bytes:
            answer = b""
            with suppress(BrokenPipeError):
                _pipe(child.stdin).write(line + b"\n")
                _pipe(child.stdin).flush()
                answer = _pipe(child.stdout).readline()
            if answer.endswith(b"\n"):
                return answer
            if late.is_set():
                raise Unavailable(f"`{argv[0]}` did not end within {timeout:g} seconds")
            said.seek(0)
            last = said.read(_LINE_LIMIT).decode(errors="replace").strip().splitlines()[-1:]
            raise Unavailable(": ".join([f"`{argv[0]}` ended without an answer", *last]))

        try:
            with alarm(timeout, kill):
                yield tell
        finally:
            _end(child)


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise ValueError("it has no such pipe")
    return pipe


@contextmanager
def alarm(timeout: float | None, ring: Callable[[], object]) -> Iterator[None]:
    """Call `ring` after `timeout` seconds, unless this is left before."""
    if timeout is None:
        yield
        return
    timer = threading.Timer(timeout, ring)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def _lines(source: IO[bytes]) -> Iterator[str]:
    while line := source.readline(_LINE_LIMIT):
        yield line.decode(errors="replace").rstrip("\r\n")


def _end(child: "subprocess.Popen[bytes]") -> None:
    """End what is left of the group of `child`: politely first, by force when interrupted."""
    try:
        if child.poll() is None:
            _signal(child, signal.SIGTERM)
            child.wait(_GRACE)
    except subprocess.TimeoutExpired:
        pass
    finally:
        _signal(child, signal.SIGKILL)
        for pipe in (child.stdin, child.stdout, child.stderr):
            with suppress(BrokenPipeError):
                if pipe is not None:
                    pipe.close()
        child.wait()


def _signal(child: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    # The group bears the number of its first process, and is gone when all of it has ended.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)
