"""Whatever a lockfile holds, it is understood or refused: never another error, never a hang."""

import tempfile
from pathlib import Path

from modelpack.errors import InputError
from modelpack.inputs.python import requirements
from modelpack.inputs.python.target import Target
from modelpack.inputs.quoting import UNPRINTABLE
from modelpack.lock import Interpreter
from modelpack.platform import Platform

_INTERPRETER = Interpreter(version="3.13.5", path="/usr/bin/python3.13", glibc="2.41")
_TARGET = Target.of(_INTERPRETER, Platform("linux", "amd64"))


def TARGET(data: bytes) -> None:  # noqa: N802  the name that the runner looks for
    """Read `data` as requirements, and as a `pylock.toml`."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("requirements.lock", "pylock.toml"):
            path = Path(folder, name)
            path.write_bytes(data)
            try:
                found = requirements.parse(path, target=_TARGET).requirements
            except InputError as error:
                if UNPRINTABLE.search(str(error)):
                    raise AssertionError(f"unprintable message: {error!a}") from error
            else:
                if not all(one.hashes and one.version for one in found):
                    raise AssertionError("a requirement that is not pinned got in")
