"""The interpreters of this machine that an image may have."""

import shutil
import subprocess
import sys
from pathlib import Path

VERSIONS = [f"3.{minor}" for minor in range(9, 15)]


def find_python(version: str) -> str | None:
    """Return an interpreter of this very version, from PATH or pyenv."""
    if sys.version_info[:2] == tuple(int(n) for n in version.split(".")):
        return sys.executable
    pyenv = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}"))
    for candidate in [*map(str, pyenv), shutil.which(f"python{version}")]:
        if candidate and _runs_as(candidate, version):
            return candidate
    return None


def _runs_as(python: str, version: str) -> bool:
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    run = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return run.returncode == 0 and run.stdout.strip() == version
