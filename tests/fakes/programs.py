"""Programs in PATH that say what a test wants: real executables, started like the real ones."""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path


class Programs:
    """A folder of programs; each run leaves a line with its words in `calls`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._calls = folder / "calls"
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment in which these programs are found, and the system's below /bin."""
        return {"PATH": str(self.folder), "HOME": str(self.folder)}

    @property
    def calls(self) -> list[str]:
        """The words of every run so far."""
        return self._calls.read_text("utf-8").splitlines() if self._calls.exists() else []

    def add(self, name: str, *cases: tuple[str, str], otherwise: str = "exit 1") -> None:
        """Write a program that runs the shell text of the first case whose pattern fits its words.

        Patterns are those of `case`; in the text, `PATH` is the system's.
        """
        arms = "\n".join(f"{escaped(pattern)}) {text} ;;" for pattern, text in cases)
        script = (
            f"#!/bin/sh\nPATH={os.defpath}\n"
            f'echo "{name} $*" >> {shlex.quote(str(self._calls))}\n'
            f'case "$*" in\n{arms}\n*) {otherwise} ;;\nesac\n'
        )
        path = self.folder / name
        path.write_text(script, "utf-8")
        path.chmod(0o755)


def said(text: str, status: int = 1) -> str:
    """Return shell text that says something on standard error and ends."""
    return f"printf '%s\\n' {shlex.quote(text)} >&2; exit {status}"


def escaped(pattern: str) -> str:
    """Return a pattern of `case` whose spaces are what they are."""
    return pattern.replace(" ", "\\ ")
