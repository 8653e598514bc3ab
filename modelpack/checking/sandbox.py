"""A folder that a command takes for the whole machine: without root, engine and network."""

import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from modelpack import process
from modelpack.checking.room import GRACE, TEMPORARY, Ended, Runner
from modelpack.errors import InputError, Unavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """The folder `root`, seen by a user who may write to his home and to /tmp only."""

    root: Path
    uid: int
    gid: int
    home: str
    workdir: str
    files: Mapping[str, Path]
    "what else is seen, read-only, by its path"
    scratch: Path

    @property
    def runner(self) -> Runner:
        """What runs the checks."""
        return Runner(name="namespaces")

    def prepare(self) -> None:
        """Make the places where something is mounted; raises Unavailable when it cannot."""
        try:
            for folder in (*TEMPORARY, self.home, "/dev", "/proc", self.workdir):
                self._inside(folder).mkdir(parents=True, exist_ok=True)
            for path in self.files:
                place = self._inside(path)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.touch(mode=0o600)
        except OSError as error:
            raise Unavailable(
                f"cannot prepare the folder of the checks: {error.strerror}", at=str(self.root)
            ) from error

    def probe(self) -> str:
        """Return why this machine gives nobody a sandbox; empty: it does."""
        try:
            said = self._drive((), {}, timeout=GRACE, said=lambda _: None)
        except Unavailable as error:
            return error.findings[0].message
        return str(said.get("refused", ""))

    def run(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        timeout: float,
        said: Callable[[str], None],
    ) -> Ended:
        """Run `argv` with exactly this `environment`, and return how it ended.

        Each line that it writes goes to `said`. Whatever it started has ended then. Raises
        Unavailable where it could not be started.
        """
        found = self._drive(argv, environment, timeout=timeout, said=said)
        if "refused" in found:
            raise Unavailable(f"cannot start `{argv[0]}` in a sandbox: {found['refused']}")
        return Ended(status=int(found.get("status", 0)), late=bool(found.get("late")))

    def _drive(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        *,
        timeout: float,
        said: Callable[[str], None],
    ) -> dict[str, Any]:
        driver = files("modelpack.checking").joinpath("sandbox_driver.py").read_text("utf-8")
        binds = [[os.path.realpath(source), path] for path, source in self.files.items()]
        wanted = {
            "root": os.path.realpath(self.root),
            "uid": self.uid,
            "gid": self.gid,
            "binds": binds,
            "writable": {
                **dict.fromkeys(TEMPORARY, "mode=1777"), self.home: "mode=0700",
            },
            "workdir": self.workdir,
            "argv": list(argv),
            "environment": dict(environment),
            "timeout": timeout,
        }  # fmt: skip
        place = Path(tempfile.mkdtemp(prefix="check-", dir=self.scratch)) / "wanted.json"
        place.write_text(json.dumps(wanted), encoding="utf-8")
        with tempfile.TemporaryFile(dir=self.scratch) as answer:
            process.stream(
                [sys.executable, "-I", "-S", "-c", driver, str(place)],
                environment={"LC_ALL": "C.UTF-8"}, cwd="/", output=answer, said=said,
                timeout=timeout + GRACE,
            )  # fmt: skip
            answer.seek(0)
            try:
                found = json.loads(answer.read())
            except ValueError as error:
                raise Unavailable("what ran the check has ended without a word") from error
        return dict(found)

    def _inside(self, path: str) -> Path:
        """Return where `path` is; raises InputError where a link stands on the way to it."""
        place = self.root
        for part in path.strip("/").split("/"):
            place = place / part
            if place.is_symlink():
                raise InputError(f"`{path}` leads through a link in the image", at="checks")
        return place
