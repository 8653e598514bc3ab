"""Builds forked from a process that has imported everything, so that kills hit the build itself.

    python -m tests.forked_builds

reads one JSON array of arguments a line and answers with the child's number, then its status.
"""

import importlib
import json
import os
import pkgutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests import projects

ROOT = Path(__file__).parents[1]


class ForkedBuilds:
    """The client; stdout and stderr of a build go to `log`."""

    def __init__(self, cache: Path, log: Path) -> None:
        self._cache = cache
        self.log = log

    def __enter__(self) -> Self:
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.forked_builds", str(self.log)], cwd=ROOT, text=True,
            env=projects.environment(self._cache), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.communicate()

    def run(self, *arguments: str) -> int:
        """Run a build to its end and return its exit status."""
        return self.stop(None, arguments, signal=0)

    def stop(self, delay: float | None, arguments: Sequence[str], *, signal: int) -> int:
        """Start a build, send it `signal` after `delay` seconds, and return its exit status.

        The status is negative when the signal ended it.
        """
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(arguments) + "\n")
        self._server.stdin.flush()
        child = int(self._server.stdout.readline())
        if delay is not None:
            time.sleep(delay)
            # It is not waited for before the answer is read: the number is not reused.
            os.kill(child, signal)
            self._server.stdin.write("\n")
            self._server.stdin.flush()
        else:
            self._server.stdin.write("\n")
            self._server.stdin.flush()
        return int(self._server.stdout.readline())

    def said(self) -> str:
        """Return what the last build wrote."""
        return self.log.read_text(encoding="utf-8", errors="replace")


def _import_everything() -> None:
    import modelpack

    for module in pkgutil.walk_packages(modelpack.__path__, "modelpack."):
        if not module.name.endswith(("__main__", "bytecode_driver")):
            importlib.import_module(module.name)
    for name in ("installer", "deflate", "safetensors", "tarfile", "zipfile", "tomli"):
        importlib.import_module(name)


def _serve(log: str) -> None:
    from modelpack.__main__ import main

    _import_everything()
    while line := sys.stdin.readline():
        child = os.fork()
        if not child:
            with open(log, "wb") as out:
                os.dup2(out.fileno(), 1)
                os.dup2(out.fileno(), 2)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            main(json.loads(line))
        print(child, flush=True)
        sys.stdin.readline()
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    _serve(sys.argv[1])
