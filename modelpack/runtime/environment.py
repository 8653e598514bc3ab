"""Leave in a virtual environment that pip has filled what its wheels hold, the same everywhere.

``environment.py VENV PYTHON BYTECODE`` is run once where Docker builds, after pip and by the
interpreter whose absolute path is PYTHON; it does not end in the image. Afterwards VENV holds what
modelpack's own builder writes there, byte for byte, and nothing else:

- every file that a wheel's RECORD names, checked against it: two wheels that write one path with
  different bytes are refused, where pip keeps the last;
- launchers of our own, INSTALLER, and a RECORD that is sorted;
- no trace of when, how and by which pip it was filled (REQUESTED, direct_url.json, activate);
- with BYTECODE ``unchecked-hash`` one pyc for each module (PEP 552), made by ``bytecode_driver.py``
  beside this file, one process for each wheel, for such a process compiles differently depending
  on what it has compiled before; with ``none`` there is none;
- modes 0644 and 0755, times 0.

Exit status 1 with one line on standard error when something is not as it should be.
Standard library only, Python 3.9 or newer. Sources: PEP 376 and 427 (RECORD), PEP 405 (pyvenv.cfg).
"""

from __future__ import annotations

import base64
import configparser
import csv
import hashlib
import io
import os
import posixpath
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

INSTALLER = b"modelpack\n"
OWN = ("INSTALLER", "RECORD", "RECORD.jws", "RECORD.p7s", "REQUESTED", "direct_url.json")
"files of a `.dist-info` that come from whoever installs, or vouch for another RECORD"
ALGORITHMS = ("sha256", "sha384", "sha512")
SOURCE_LIMIT = 64 << 20
CHUNK = 1 << 20
LAUNCHER = """\
#!{interpreter}
import sys
from {module} import {name}
if __name__ == "__main__":
    sys.exit({attribute}())
"""
COMPILER = ["-B", "-S", "-s", "-W", "ignore"] + (["-P"] if sys.version_info >= (3, 11) else [])
COMPILER_ENVIRONMENT = {"LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0", "PYTHONUTF8": "1"}


class Wrong(Exception):  # noqa: N818  a fact about the environment
    """What is not as it should be."""


class Place(NamedTuple):
    """Where things are in a virtual environment."""

    venv: str
    python: str
    "the interpreter that it belongs to"

    @property
    def minor(self) -> str:
        """`3.13`."""
        return "%d.%d" % sys.version_info[:2]

    @property
    def site_packages(self) -> str:
        return f"{self.venv}/lib/python{self.minor}/site-packages"

    @property
    def bin(self) -> str:
        return f"{self.venv}/bin"


class Installed(NamedTuple):
    """A wheel that pip has installed: its metadata folder, and its files with their digests."""

    folder: str
    files: dict[str, str]
    "absolute path to `sha256=…`"


def main(arguments: list[str]) -> int:
    """Return the exit status; see the module."""
    try:
        venv, python, bytecode = arguments
    except ValueError:
        print("usage: environment.py VENV PYTHON unchecked-hash|none", file=sys.stderr)
        return 2
    try:
        settle(Place(venv, python), bytecode)
    except (Wrong, OSError) as error:
        print(f"environment.py: {error}", file=sys.stderr)
        return 1
    return 0


def settle(place: Place, bytecode: str) -> None:
    """Make the environment what the module says."""
    wheels = [installed(place, folder) for folder in metadata_folders(place)]
    kept = skeleton(place)
    for wheel in wheels:
        check(wheel)
        kept.update(rewrite(place, wheel))
    remove_others(place.venv, kept)
    if bytecode != "none":
        compile_all(place, wheels)
    level(place)


def metadata_folders(place: Place) -> list[str]:
    """Return the `.dist-info` folders, sorted."""
    names = sorted(os.listdir(place.site_packages))
    return [f"{place.site_packages}/{name}" for name in names if name.endswith(".dist-info")]


def installed(place: Place, folder: str) -> Installed:
    """Return what the RECORD in `folder` names, but for what the installer adds."""
    files = {}
    with open(f"{folder}/RECORD", encoding="utf-8", newline="") as file:
        for path, digest, _ in csv.reader(file):
            full = posixpath.normpath(posixpath.join(place.site_packages, path))
            if not full.startswith(f"{place.venv}/"):
                raise Wrong(f"`{path}` in `{folder}/RECORD` leads out of the environment")
            above, name = posixpath.split(full)
            own = above == folder and name in OWN
            if not own and "__pycache__" not in full[len(place.venv) :].split("/")[:-1]:
                files[full] = digest
    return Installed(folder, files)


def check(wheel: Installed) -> None:
    """Raise Wrong for a file that is not what RECORD says."""
    for path, expected in wheel.files.items():
        algorithm, _, digest = expected.partition("=")
        if algorithm not in ALGORITHMS:
            raise Wrong(f"`{wheel.folder}/RECORD` has no sha256 for `{path}`")
        if os.path.islink(path) or hash_of(path, algorithm) != digest.rstrip("="):
            raise Wrong(
                f"`{path}` is not what `{wheel.folder}/RECORD` says: another wheel wrote it"
            )


def rewrite(place: Place, wheel: Installed) -> list[str]:
    """Write launchers, INSTALLER and RECORD of a wheel; return all of its files."""
    for path, text in launchers(place, wheel).items():
        write(path, text.encode())
        wheel.files[path] = ""
    write(f"{wheel.folder}/INSTALLER", INSTALLER)
    wheel.files[f"{wheel.folder}/INSTALLER"] = ""
    rows = []
    for path in wheel.files:
        relative = posixpath.relpath(path, place.site_packages)
        rows.append((relative, f"sha256={hash_of(path)}", str(os.path.getsize(path))))
    record = f"{wheel.folder}/RECORD"
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows([*sorted(rows), (posixpath.relpath(record, place.site_packages), "", "")])
    write(record, out.getvalue().encode())
    return [*wheel.files, record]


def launchers(place: Place, wheel: Installed) -> dict[str, str]:
    """Return the text of a wheel's launchers by path (the entry points specification)."""
    parser = configparser.ConfigParser(delimiters="=", interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their case
    parser.read(f"{wheel.folder}/entry_points.txt", encoding="utf-8")
    found = {}
    for section in ("console_scripts", "gui_scripts"):
        for name, value in parser.items(section) if parser.has_section(section) else ():
            module, _, attribute = value.partition("[")[0].strip().partition(":")
            found[f"{place.bin}/{name}"] = LAUNCHER.format(
                interpreter=f"{place.bin}/python",
                module=module.strip(),
                name=attribute.strip().split(".")[0],
                attribute=attribute.strip(),
            )
    return found


def skeleton(place: Place) -> set[str]:
    """Write `pyvenv.cfg` and the interpreter's links; return their paths."""
    configuration = f"{place.venv}/pyvenv.cfg"
    write(
        configuration,
        f"home = {posixpath.dirname(place.python)}\n"
        "include-system-site-packages = false\n"
        f"version = {'.'.join(map(str, sys.version_info[:3]))}\n".encode(),
    )
    exact = f"python{place.minor}"
    links = {exact: place.python, "python3": exact, "python": exact}
    for name, target in links.items():
        path = f"{place.bin}/{name}"
        if os.path.lexists(path):
            os.unlink(path)
        os.symlink(target, path)
    return {configuration, *(f"{place.bin}/{name}" for name in links)}


def remove_others(venv: str, kept: set[str]) -> None:
    """Remove every file that is not `kept`, and every folder that is empty then."""
    for folder, folders, names in os.walk(venv, topdown=False):
        for name in names:
            if f"{folder}/{name}" not in kept:
                os.unlink(f"{folder}/{name}")
        for name in folders:
            path = f"{folder}/{name}"
            if os.path.islink(path):
                os.unlink(path)
            elif not os.listdir(path):
                os.rmdir(path)


def compile_all(place: Place, wheels: list[Installed]) -> None:
    """Write the bytecode of every module, one process for each wheel."""
    with open(posixpath.join(posixpath.dirname(__file__), "bytecode_driver.py"), "rb") as file:
        driver = file.read().decode()
    done: set[str] = set()
    groups: list[list[str]] = []
    for wheel in wheels:
        paths = [
            path
            for path in sorted(wheel.files, key=os.fsencode)
            if path.endswith(".py")
            and path.startswith(f"{place.site_packages}/")
            and path not in done
            and os.path.getsize(path) <= SOURCE_LIMIT
        ]
        done.update(paths)
        groups.append(paths)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for job in [pool.submit(compile_together, place, driver, paths) for paths in groups]:
            job.result()


def compile_together(place: Place, driver: str, paths: list[str]) -> None:
    """Compile `paths` in one fresh process of the interpreter."""
    if not paths:
        return
    fields: list[bytes] = []
    for path in paths:
        name = os.fsencode(path)
        fields += [b"0", b"%d" % os.path.getsize(path), name, name]
    with tempfile.NamedTemporaryFile() as output:
        done = subprocess.run(
            [place.python, *COMPILER, "-c", driver, output.name],
            input=b"\0".join(fields), env=COMPILER_ENVIRONMENT, cwd="/", check=False,
        )  # fmt: skip
        if done.returncode:
            raise Wrong(f"the interpreter failed to compile `{paths[0]}` and what came with it")
        for path in paths:
            length = int.from_bytes(output.read(8), "little", signed=True)
            if length >= 0:
                folder, module = posixpath.split(path)
                os.makedirs(f"{folder}/__pycache__", exist_ok=True)
                tag = sys.implementation.cache_tag
                write(f"{folder}/__pycache__/{module[:-3]}.{tag}.pyc", output.read(length))


def level(place: Place) -> None:
    """Give everything the modes and times that do not depend on this build."""
    for folder, _, names in os.walk(place.venv, topdown=False):
        for name in names:
            path = f"{folder}/{name}"
            if not os.path.islink(path):
                executable = folder == place.bin or os.stat(path).st_mode & 0o100
                os.chmod(path, 0o755 if executable else 0o644)
            os.utime(path, (0, 0), follow_symlinks=False)
        os.chmod(folder, 0o755)
        os.utime(folder, (0, 0))


def write(path: str, content: bytes) -> None:
    """Make `content` all that is at `path`."""
    with open(path, "wb") as file:
        file.write(content)


def hash_of(path: str, algorithm: str = "sha256") -> str:
    """Return the digest of a file as RECORD writes it: URL-safe base64 without padding."""
    digest = hashlib.new(algorithm)
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return base64.urlsafe_b64encode(digest.digest()).decode().rstrip("=")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
