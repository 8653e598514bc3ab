"""A small project whose base really runs: Debian's Python as locked by an example, wheels of ours.

The packages come from the cache of this machine, or its mirror, and are kept there; the project
has a cache of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from modelpack import project
from modelpack.cli import environment
from modelpack.inputs.debian import base as debian_base
from modelpack.inputs.downloads import Downloads
from modelpack.inputs.python import locked_wheels, pip_wheel
from modelpack.lock import AssembledBase, Lock, PlatformLock, Wheel
from tests import projects, wheel_files

DIGITS = Path(__file__).parents[1] / "examples" / "digits"
TOML = projects.TOML.replace('[runtime]\nbytecode = "none"\n', "")
"bytecode as the lock says"
Wheels = Sequence[tuple[Wheel, Path]]


def corners(folder: Path) -> Wheels:
    """Write wheels that use every place of an environment, and all that an installer adds."""
    data, shared = "Big_Name-2.0.data", {"space/__init__.py": b""}
    files = {
        "big/__init__.py": b"def main():\n    return 0\n",
        "big/__pycache__/x.cpython-313.pyc": b"left over",
        "big/broken.py": b"def\n",
        "big/names.py": b"KINDS = frozenset({'a', 'b', 'c'})\nHERE = __file__\n",
        "big/tool.py": b"print(1)\n",
        "big/g\u00fcn.txt": b"",
        "big/deep/" + "x" * 120 + ".py": b"VALUE = 1\n",
        f"{data}/data/share/big, really.txt": b"text\n",
        f"{data}/headers/big.h": b"#define BIG\n",
        f"{data}/scripts/plain": b"#!/bin/sh\n",
        f"{data}/scripts/started": b"#!pythonw\nprint(2)\n",
        f"{data}/purelib/big_pure.py": b"PURE = True\n",
        **shared,
    }
    entry_points = (
        "[console_scripts]\nbig = big:main\nBig.2 = big.sub:Class.run [extra]\n"
        "[gui_scripts]\nwindow=big:main\n[other]\nkey = value\n"
    )
    big, path = wheel_files.build(
        folder, "Big_Name", "2.0", files=files, entry_points=entry_points,
        executable=frozenset({"big/tool.py"}),
    )  # fmt: skip
    return [
        (replace(big, name="big-name"), path),
        wheel_files.build(folder, "small", files={**shared, "space/small.py": b"VALUE = 2\n"}),
    ]  # fmt: skip


def digits_platform() -> PlatformLock:
    """Return what the example has locked: a Debian base, and wheels with compiled code."""
    return _lock_of(DIGITS).platforms[0]


def compiled() -> Wheels:
    """Return the example's own wheels: compiled code, launchers, a thousand files."""
    machine, platform = environment.machine(), digits_platform()
    paths = locked_wheels.fetch(
        platform.wheels, downloads=machine.downloads, indexes=machine.indexes,
        environment=machine.environment,
    )  # fmt: skip
    return [(wheel, paths[wheel.sha256]) for wheel in platform.wheels]


def make_project(
    folder: Path,
    cache: Path,
    wheels: Wheels,
    *,
    toml: str = TOML,
    files: Mapping[str, bytes] = projects.CODE,
    bytecode: str = "unchecked-hash",
) -> Path:
    """Write a locked project to `folder` and what it needs into `cache`; raises Unavailable."""
    projects.make_project(folder, cache, toml=toml, files=files)
    downloads = Downloads(cache)
    platform = replace(
        digits_platform(), bytecode=bytecode, wheels=tuple(wheel for wheel, _ in wheels)
    )
    for path in [*_packages(platform), *(path for _, path in wheels)]:
        projects.keep(downloads, path.read_bytes())
    projects.rewrite_lock(folder, platform)
    return folder


def _packages(platform: PlatformLock) -> list[Path]:
    """Return the files of the base's packages and of pip, from this machine's cache or mirrors."""
    machine = environment.machine()
    assert isinstance(platform.base, AssembledBase)
    found = debian_base.fetch(
        platform.base, mirrors=machine.mirrors, downloads=machine.downloads,
        environment=machine.environment,
    )  # fmt: skip
    return [*found.values(), pip_wheel.fetch(machine)]


def _lock_of(folder: Path) -> Lock:
    lock = project.read(folder).lock
    assert lock is not None
    return lock
