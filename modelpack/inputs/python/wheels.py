"""Wheels to a virtual environment as a Tree: nothing is executed, every member is checked."""

import configparser
import csv
import errno
import os
import posixpath
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from modelpack.errors import Finding, ModelpackError, Refused, Unavailable
from modelpack.inputs.opening import open_regular
from modelpack.inputs.quoting import quoted
from modelpack.lock import Interpreter, Wheel
from modelpack.oci.tree import Tree

if TYPE_CHECKING:
    from modelpack.inputs.python.wheel_destination import Elsewhere, InstalledFile, Layout

INSTALLER = b"modelpack\n"


def tree(
    wheels: Sequence[Wheel],
    paths: Mapping[str, Path],
    *,
    interpreter: Interpreter,
    scratch: Path,
    venv: str = "opt/venv",
    elsewhere: "Elsewhere | None" = None,
) -> Tree:
    """Return the virtual environment that holds `wheels`, whose files are `paths` by sha256.

    Contents lie in files in `scratch`, a folder that must outlive the Tree, but for those of
    members that `elsewhere` finds. Raises Refused with a finding for each wheel that is damaged or
    hostile, and for each path that two wheels write with different bytes.
    """
    from modelpack.inputs.python.wheel_destination import Layout  # noqa: PLC0415  loads installer

    layout = Layout(venv=venv, minor=interpreter.minor)
    result = skeleton(layout, interpreter)
    ordered = sorted(wheels, key=lambda wheel: wheel.filename)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [
            pool.submit(
                _installed,
                wheel,
                paths[wheel.sha256],
                layout=layout,
                scratch=scratch,
                elsewhere=elsewhere,
            )
            for wheel in ordered
        ]
    findings: list[Finding] = []
    digests: dict[str, tuple[str, bool]] = {}
    for wheel, job in zip(ordered, jobs, strict=True):
        try:
            files = job.result()
        except Unavailable:
            raise
        except ModelpackError as error:
            findings.extend(error.findings)
            continue
        findings.extend(_merge(result, files, wheel=wheel, digests=digests))
    if findings:
        raise Refused(*findings)
    return result


def bytecode_sources(tree: Tree) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return the Python modules in `tree` as one group for each wheel that brought them."""
    groups: dict[str, list[str]] = {}
    for path in tree:
        if path.endswith(".py") and tree[path].kind == "file" and "/site-packages/" in path:
            groups.setdefault(tree.owner(path), []).append(path)
    return tuple((label, tuple(groups[label])) for label in sorted(groups))


def skeleton(layout: "Layout", interpreter: Interpreter) -> Tree:
    """Return an environment without packages (PEP 405, as `python -m venv` lays it out)."""
    owner = "the virtual environment itself"
    result = Tree()
    configuration = (
        f"home = {posixpath.dirname(interpreter.path)}\n"
        "include-system-site-packages = false\n"
        f"version = {interpreter.version}\n"
    )
    result.file(f"{layout.venv}/pyvenv.cfg", configuration.encode(), owner=owner)
    exact = f"python{interpreter.minor}"
    result.link(f"{layout.bin}/{exact}", interpreter.path, owner=owner)
    result.link(f"{layout.bin}/python3", exact, owner=owner)
    result.link(f"{layout.bin}/python", exact, owner=owner)
    return result


def _installed(
    wheel: Wheel,
    path: Path,
    *,
    layout: "Layout",
    scratch: Path,
    elsewhere: "Elsewhere | None",
) -> "list[InstalledFile]":
    """Return the files that `wheel` puts into an environment, or raise Refused."""
    from zipfile import BadZipFile, ZipFile  # noqa: PLC0415  slow to import

    from installer import install  # noqa: PLC0415
    from installer.exceptions import InstallerError  # noqa: PLC0415
    from installer.records import InvalidRecordEntry  # noqa: PLC0415

    from modelpack.inputs.python.wheel_archive import WheelArchive  # noqa: PLC0415
    from modelpack.inputs.python.wheel_destination import EnvironmentDestination  # noqa: PLC0415

    spill_path = scratch / f"{wheel.sha256}.members"
    try:
        with (
            open_regular(path, at=wheel.filename) as file,
            ZipFile(file) as archive,
            spill_path.open("wb") as spill,
        ):
            source = WheelArchive(archive, wheel, size=os.fstat(file.fileno()).st_size)
            destination = EnvironmentDestination(
                layout=layout,
                distribution=source.distribution,
                wheel=wheel.filename,
                spill=spill,
                spill_path=str(spill_path),
                elsewhere=elsewhere,
            )
            install(source, destination, additional_metadata={"INSTALLER": INSTALLER})
    except (
        BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
        InstallerError,
        InvalidRecordEntry,
        configparser.Error,
        csv.Error,
        ValueError,
        LookupError,
        AssertionError,
        AttributeError,
    ) as error:
        # What zipfile, email, csv, configparser and installer raise on damaged input.
        raise _damaged(wheel, error) from error
    except OSError as error:
        if error.errno == errno.EINVAL:  # a seek to where no file can have bytes
            raise _damaged(wheel, error) from error
        raise Unavailable(f"cannot unpack: {error.strerror}", at=wheel.filename) from error
    return destination.files


def _damaged(wheel: Wheel, error: Exception) -> Refused:
    reason = quoted(str(error) or "malformed metadata", 200)
    return Refused(f"is not a wheel that can be installed: {reason}", at=wheel.filename)


def _merge(
    result: Tree,
    files: "list[InstalledFile]",
    *,
    wheel: Wheel,
    digests: dict[str, tuple[str, bool]],
) -> list[Finding]:
    """Add `files` to `result`; return what stands in their way.

    Equal bytes at one path are no conflict: namespace packages do that.
    """
    findings: list[Finding] = []
    for file in files:
        this = (file.sha256, file.executable)
        if digests.get(file.path) == this and result.owner(file.path) != wheel.filename:
            continue
        digests[file.path] = this
        try:
            mode = 0o755 if file.executable else 0o644
            result.file(file.path, file.content, mode=mode, owner=wheel.filename)
        except ModelpackError as error:
            findings.extend(replace(one, rule="dependencies.conflict") for one in error.findings)
    return findings
