"""Where the files of one wheel go in a virtual environment, and the RECORD of what went there.

Launchers and RECORD are written here, not by a library, so that no release of one changes a layer.
"""

import csv
import hashlib
import io
import os
import posixpath
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import BinaryIO

from installer.destinations import WheelDestination
from installer.records import Hash, RecordEntry
from installer.scripts import InvalidScript
from installer.utils import Scheme

from modelpack.errors import Refused
from modelpack.inputs.python.wheel_archive import Member, encoded
from modelpack.inputs.quoting import quoted
from modelpack.oci.tar import Content, FileRange, size_of
from modelpack.oci.tree import check_path

_CHUNK = 1 << 20
_SCRIPT_LIMIT = 16 << 20
_PLACEHOLDER = b"#!python"
"how a script in a wheel begins whose interpreter is to be filled in (PEP 427)"
_LAUNCHER = """\
#!{interpreter}
import sys
from {module} import {name}
if __name__ == "__main__":
    sys.exit({attribute}())
"""


Elsewhere = Callable[[str, Member], tuple[Content, str]]
"returns content and sha256 (as RECORD writes it) of the member that goes to a path"


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledFile:
    """A file of a virtual environment."""

    path: str
    content: Content
    sha256: str
    "as RECORD writes it"
    executable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where a virtual environment keeps things; paths without a leading slash."""

    venv: str
    minor: str
    "`3.13`"

    @property
    def site_packages(self) -> str:
        """The folder of modules."""
        return f"{self.venv}/lib/python{self.minor}/site-packages"

    @property
    def bin(self) -> str:
        """The folder of launchers and of the interpreter's links."""
        return f"{self.venv}/bin"

    @property
    def interpreter(self) -> str:
        """The absolute path that launchers start with."""
        return f"/{self.bin}/python"

    def folder(self, scheme: str, distribution: str) -> str:
        """Return where `scheme` of a wheel goes (sysconfig's `posix_prefix`, as pip does)."""
        if scheme in ("purelib", "platlib"):
            return self.site_packages
        if scheme == "headers":
            return f"{self.venv}/include/site/python{self.minor}/{distribution}"
        return self.bin if scheme == "scripts" else self.venv


class EnvironmentDestination(WheelDestination):
    """Collects the files of one wheel; their bytes go to `spill`, one after the other.

    With `elsewhere`, all but scripts are taken from there.
    """

    def __init__(
        self,
        *,
        layout: Layout,
        distribution: str,
        wheel: str,
        spill: BinaryIO,
        spill_path: str,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self._layout = layout
        self._distribution = distribution
        self._wheel = wheel
        self._elsewhere = elsewhere
        self._spill, self._spill_path, self._position = spill, spill_path, 0
        self.files: list[InstalledFile] = []

    def write_script(self, name: str, module: str, attr: str, section: str) -> RecordEntry:  # noqa: ARG002
        """Write the launcher of an entry point."""
        if "/" in name:
            raise InvalidScript(f"entry point {quoted(name)} is not a file name")
        text = _LAUNCHER.format(
            interpreter=self._layout.interpreter,
            module=module,
            name=attr.split(".", maxsplit=1)[0],
            attribute=attr,
        )
        return self._put("scripts", name, text.encode(), executable=True)

    def write_file(
        self,
        scheme: Scheme,
        path: str | os.PathLike[str],
        stream: BinaryIO,
        is_executable: bool,  # noqa: FBT001  the library's signature
    ) -> RecordEntry:
        """Write a member; scripts get the interpreter of the environment."""
        name = str(path)
        if not isinstance(stream, Member):
            return self._put(scheme, name, stream.read(), executable=False)
        if self._elsewhere is not None and scheme != "scripts":
            content, digest = self._elsewhere(self._place(scheme, name), stream)
            return self._add(scheme, name, content, digest, executable=is_executable)
        executable, head = is_executable or scheme == "scripts", b""
        if scheme == "scripts":
            head = stream.read(len(_PLACEHOLDER))
            if head == _PLACEHOLDER:
                return self._put(scheme, name, self._script(name, stream), executable=True)
        content, digest = self._spilled(stream, head)
        return self._add(scheme, name, content, digest, executable=executable)

    def finalize_installation(
        self,
        scheme: Scheme,
        record_file_path: str,
        records: Iterable[tuple[Scheme, RecordEntry]],
    ) -> None:
        """Write RECORD: sorted, with line feeds, exactly what is there."""
        rows = sorted(entry.to_row() for _, entry in records if entry.path != record_file_path)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows([*rows, (record_file_path, "", "")])
        self._put(scheme, record_file_path, text.getvalue().encode(), executable=False)

    def _script(self, name: str, stream: Member) -> bytes:
        """Return a script whose placeholder was read, with the interpreter of the environment."""
        data = stream.read(_SCRIPT_LIMIT + 1)
        if len(data) > _SCRIPT_LIMIT or stream.read(1):
            raise Refused(f"{quoted(name)} is too large for a script", at=self._wheel)
        _, newline, rest = data.partition(b"\n")
        return b"#!" + self._layout.interpreter.encode() + newline + rest

    def _spilled(self, stream: Member, head: bytes) -> tuple[Content, str]:
        """Write what was read of `stream` and the rest of it; return where, and its digest."""
        start, own = self._position, hashlib.sha256()
        chunk = head or stream.read(_CHUNK)
        while chunk:
            self._spill.write(chunk)
            self._position += len(chunk)
            if stream.sha256 is None:
                own.update(chunk)
            chunk = stream.read(_CHUNK)
        size = self._position - start
        content = FileRange(path=self._spill_path, offset=start, size=size) if size else b""
        return content, stream.sha256 or encoded(own.digest())

    def _put(self, scheme: str, path: str, data: bytes, *, executable: bool) -> RecordEntry:
        digest = encoded(hashlib.sha256(data).digest())
        return self._add(scheme, path, data, digest, executable=executable)

    def _add(
        self, scheme: str, path: str, content: Content, digest: str, *, executable: bool
    ) -> RecordEntry:
        full = self._place(scheme, path)
        check_path(full, at=self._wheel)
        self.files.append(
            InstalledFile(path=full, content=content, sha256=digest, executable=executable)
        )
        relative = posixpath.relpath(full, self._layout.site_packages)
        return RecordEntry(relative, Hash("sha256", digest), size_of(content))

    def _place(self, scheme: str, path: str) -> str:
        return f"{self._layout.folder(scheme, self._distribution)}/{path}"
