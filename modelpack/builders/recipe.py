"""What BuildKit is given: a folder with the wheels of the lock, pip and a program to run.

Weights and code are never in it. The base is in it as a layer, or beside it as an OCI layout.
"""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from modelpack import canonical_json
from modelpack.digest import Digest
from modelpack.digest import of as digest_of
from modelpack.inputs import runtime_files
from modelpack.inputs.python.pip_wheel import PIP
from modelpack.lock import Interpreter, PlatformLock
from modelpack.oci.tree import check_path
from modelpack.plan import VENV

BASE: Final = "base"
"the name of the stage or named context that is the base"
PIP_STEP: Final = f"/{PIP.filename}/pip"
"what the command that installs has in it, and no other"
SETTLING_STEP: Final = "/environment.py"
_MOUNT = "/modelpack"
_PIP_OPTIONS: Final = (
    "--isolated", "--no-deps", "--no-index", f"--find-links={_MOUNT}/wheels", "--require-hashes",
    "--only-binary=:all:", "--no-compile", "--no-cache-dir", "--no-warn-script-location",
    "--root-user-action=ignore", "--no-input", "--disable-pip-version-check",
    "--progress-bar=off", "--no-color", f"--requirement={_MOUNT}/requirements.txt",
)  # fmt: skip


def digest() -> Digest:
    """Return the digest of all that decides what BuildKit makes of given wheels and base."""
    nobody = Interpreter(version="", path="", glibc="")
    programs = (runtime_files.environment(), runtime_files.bytecode_driver())
    parts = [
        dockerfile([], nobody, bytecode=""),
        PIP.sha256,
        *(digest_of(text) for text in programs),
    ]
    return digest_of(canonical_json.dumps(parts))


def dockerfile(first: Sequence[str], interpreter: Interpreter, *, bytecode: str) -> str:
    """Return the Dockerfile whose last stage holds the virtual environment and nothing else.

    `first` are the lines of the stage that is the base, unless BASE is a named context. RUN is
    never a shell: the base may have none.
    """
    python = interpreter.path
    commands = (
        [python, "-I", "-m", "venv", "--without-pip", VENV],
        [f"{VENV}/bin/python", "-I", "-B", f"{_MOUNT}{PIP_STEP}", "install", *_PIP_OPTIONS],
        [python, "-I", f"{_MOUNT}{SETTLING_STEP}", VENV, python, bytecode],
    )
    lines = [
        *first,
        f"FROM {BASE} AS environment",
        # Not the user of a foreign base: what that one may write is not ours to know.
        "USER 0:0",
        *(f"RUN --mount=type=bind,target={_MOUNT} {json.dumps(words)}" for words in commands),
        "FROM scratch",
        f"COPY --from=environment {VENV} {VENV}",
    ]
    return "".join(f"{line}\n" for line in lines)


def write(
    folder: Path,
    platform: PlatformLock,
    *,
    paths: Mapping[str, Path],
    pip: Path,
    first: Sequence[str],
) -> None:
    """Fill `folder`; `paths` are the files of the wheels by sha256."""
    (folder / "wheels").mkdir(parents=True)
    for wheel in platform.wheels:
        check_path(wheel.filename, at=wheel.name)
        _place(paths[wheel.sha256], folder / "wheels" / os.path.basename(wheel.filename))
    _place(pip, folder / PIP.filename)
    text = dockerfile(first, platform.interpreter, bytecode=platform.bytecode)
    (folder / "Dockerfile").write_text(text, encoding="utf-8")
    (folder / "requirements.txt").write_text(_requirements(platform), encoding="utf-8")
    (folder / "environment.py").write_bytes(runtime_files.environment())
    (folder / "bytecode_driver.py").write_bytes(runtime_files.bytecode_driver())


def _place(source: Path, target: Path) -> None:
    try:  # a hard link costs nothing, and a symbolic one would lead BuildKit nowhere
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _requirements(platform: PlatformLock) -> str:
    # By the name that the wheel gives itself: pip names a folder of C headers after it.
    return "".join(
        f"{wheel.filename.partition('-')[0]}=={wheel.version} --hash=sha256:{wheel.sha256}\n"
        for wheel in platform.wheels
    )
