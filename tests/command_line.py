"""The command line as a person types it: here, or in a process of its own with a time limit."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from modelpack import __main__ as process

PATIENCE = 60
"seconds after which a command counts as hanging"
_UNSAFE = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True)
class Done:
    """How a command ended and what it said."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """What `--json` printed."""
        return json.loads(self.out)

    @property
    def messages(self) -> list[str]:
        """The lines with errors and warnings."""
        return [line for line in self.err.splitlines() if line.startswith(("error: ", "warning: "))]


def run(*arguments: object, cache: Path, **variables: str) -> Done:
    """Run the command in a process of its own; it must end, and as commands do."""
    done = subprocess.run(
        [sys.executable, "-m", "modelpack", *map(str, arguments)], capture_output=True,
        check=False, timeout=PATIENCE, stdin=subprocess.DEVNULL,
        env={**os.environ, "MODELPACK_CACHE": str(cache), **variables},
    )  # fmt: skip
    return _decent(done.returncode, done.stdout.decode(), done.stderr.decode())


def run_here(
    capsys: pytest.CaptureFixture[str], *arguments: object, statuses: Container[int] = range(4)
) -> Done:
    """Run the command in this process, which is ten times as fast."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    capsys.readouterr()
    try:
        with pytest.raises(SystemExit) as stopped:
            process.main([str(argument) for argument in arguments])
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    captured = capsys.readouterr()
    assert isinstance(stopped.value.code, int)
    return _decent(stopped.value.code, captured.out, captured.err, statuses)


def _decent(status: int, out: str, err: str, statuses: Container[int] = range(4)) -> Done:
    """Fail on what must never happen, whatever was asked for."""
    for text in (out, err):
        assert "Traceback" not in text
        assert "internal error" not in text
        assert not _UNSAFE.search(text), "control characters reach the terminal"
    assert status in statuses, err
    return Done(status, out, err)


def state_of(folder: Path) -> dict[str, object]:
    """Return what lies in a folder: kinds of all entries, content of files, targets of links."""
    found: dict[str, object] = {}
    for place, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = Path(place, name)
            key = os.fsencode(path.relative_to(folder)).hex()
            if path.is_symlink():
                found[key] = os.readlink(path)
            elif path.is_file():
                found[key] = path.read_bytes()
            else:
                found[key] = path.lstat().st_mode
    return found
