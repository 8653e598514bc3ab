"""A wheel as a hostile zip: bounded, only plain files, every member checked against RECORD.

Source: the binary distribution format (PEP 427) and "Recording installed projects" (PEP 376).
"""

import base64
import hashlib
import io
import stat
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from installer.records import parse_record_file
from installer.sources import WheelContentElement, WheelSource
from packaging.utils import canonicalize_name, parse_wheel_filename

from modelpack.errors import Refused
from modelpack.inputs.quoting import quoted
from modelpack.lock import Wheel
from modelpack.oci.tree import check_path

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_COUNT_LIMIT = 500_000
_SIZE_LIMIT = 64 << 30
_METADATA_LIMIT = 64 << 20
_ENCRYPTED = 0x1
_ALGORITHMS = ("sha256", "sha384", "sha512")
"""PEP 427: sha256 or better."""
_SIGNATURES = ("RECORD.jws", "RECORD.p7s")


class WheelArchive(WheelSource):
    """The members of a wheel that may be installed, in the order of the archive.

    `__pycache__` is left out (bytecode is compiled anew), as are signatures of RECORD. Raises
    Refused, naming wheel and member, for anything that RECORD does not vouch for.
    """

    def __init__(self, archive: ZipFile, wheel: Wheel, *, size: int) -> None:
        self._archive = archive
        self._at = wheel.filename
        self._infos = self._checked(archive.infolist(), size)
        _, version, _, _ = parse_wheel_filename(wheel.filename)
        folder = self._only_dist_info()
        name, _, written = folder.removesuffix(".dist-info").rpartition("-")
        if canonicalize_name(name) != wheel.name or not written:
            raise Refused(f"`{folder}` is not of `{wheel.name}` {version}", at=self._at)
        super().__init__(name, written)

    @property
    def dist_info_filenames(self) -> list[str]:
        """The names of the files in the metadata folder."""
        folder = self.dist_info_dir + "/"
        return [name.removeprefix(folder) for name in self._infos if name.startswith(folder)]

    def read_dist_info(self, filename: str) -> str:
        """Return a file of the metadata folder as text; checked against RECORD, but for RECORD."""
        path = f"{self.dist_info_dir}/{filename}"
        info = self._infos.get(path)
        if info is None:
            raise Refused(f"`{path}` is missing", at=self._at)
        if info.file_size > _METADATA_LIMIT:
            raise Refused(f"`{path}` is larger than {_METADATA_LIMIT >> 20} MiB", at=self._at)
        if filename == "RECORD":
            return self._archive.read(info).decode()
        with self._archive.open(info) as stream:
            return self._member(info, cast("BinaryIO", stream)).read().decode()

    def get_contents(self) -> Iterator[WheelContentElement]:
        """Yield RECORD row, stream and executable bit of each file to install."""
        signatures = {f"{self.dist_info_dir}/{name}" for name in _SIGNATURES}
        record = f"{self.dist_info_dir}/RECORD"
        absent = sorted(set(self._records) - set(self._infos) - signatures)
        if absent:
            raise Refused(f"RECORD names {quoted(absent[0])}, which is missing", at=self._at)
        for path, info in self._infos.items():
            if path == self.data_dir:
                # installer 1.1 walks up from such a file for ever, looking for the folder above.
                raise Refused(f"{quoted(path)} is a file and not a folder", at=self._at)
            if path == record or path in signatures or "__pycache__" in path.split("/")[:-1]:
                continue
            mode = info.external_attr >> 16
            executable = bool(stat.S_ISREG(mode) and mode & 0o111)
            with self._archive.open(info) as stream:
                member = self._member(info, cast("BinaryIO", stream))
                yield (path, "", ""), cast("BinaryIO", member), executable

    def _member(self, info: ZipInfo, stream: BinaryIO) -> "Member":
        row = self._records.get(info.filename)
        if row is None:
            raise Refused(f"{quoted(info.filename)} is not in RECORD", at=self._at)
        algorithm, _, digest = row[0].partition("=")
        if algorithm not in _ALGORITHMS:
            raise Refused(f"RECORD has no sha256 for {quoted(info.filename)}", at=self._at)
        if row[1] and row[1] != str(info.file_size):
            raise Refused(
                f"{quoted(info.filename)} has {info.file_size} bytes, RECORD says {quoted(row[1])}",
                at=self._at,
            )
        return Member(
            stream, name=info.filename, wheel=self._at, algorithm=algorithm, digest=digest
        )

    @cached_property
    def _records(self) -> dict[str, tuple[str, str]]:
        """Hash and size by path, as RECORD has them."""
        rows = list(parse_record_file(self.read_dist_info("RECORD").splitlines()))
        records = {path: (digest, size) for path, digest, size in rows}
        if len(records) != len(rows):
            raise Refused("RECORD names a file twice", at=self._at)
        return records

    def _only_dist_info(self) -> str:
        tops = {name.partition("/")[0] for name in self._infos if "/" in name}
        folders = sorted(name for name in tops if name.endswith(".dist-info"))
        if len(folders) != 1:
            raise Refused(f"has {len(folders)} `.dist-info` folders instead of one", at=self._at)
        return folders[0]

    def _checked(self, infos: list[ZipInfo], size: int) -> dict[str, ZipInfo]:
        """Return the files of the archive by path, after all that can be judged unread."""
        expanded = sum(info.file_size for info in infos)
        # Members that share bytes are how a small file becomes petabytes.
        overlap = sum(info.compress_size for info in infos) > size
        if len(infos) > _COUNT_LIMIT or expanded > _SIZE_LIMIT or overlap:
            raise Refused(
                f"would expand to {len(infos)} files and {expanded} bytes: a bomb", at=self._at
            )
        files: dict[str, ZipInfo] = {}
        for info in infos:
            folder = info.filename.endswith("/")
            self._check_kind(info, folder=folder)
            path = info.filename.rstrip("/") if folder else info.filename
            check_path(path, at=self._at)
            if "\\" in path or info.orig_filename != info.filename:
                raise Refused(f"unsafe path {quoted(info.orig_filename)}", at=self._at)
            if path in files:
                raise Refused(f"{quoted(path)} is in it twice", at=self._at)
            if not folder:
                files[path] = info
        return files

    def _check_kind(self, info: ZipInfo, *, folder: bool) -> None:
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in ((0, stat.S_IFDIR) if folder else (0, stat.S_IFREG)):
            raise Refused(f"{quoted(info.filename)} is not a plain file", at=self._at)
        if info.flag_bits & _ENCRYPTED or info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            raise Refused(
                f"{quoted(info.filename)} is encrypted or compressed in an unknown way",
                at=self._at,
            )


class Member(io.RawIOBase):
    """A member's bytes, hashed while they are read and compared with RECORD at the end."""

    def __init__(
        self, stream: BinaryIO, *, name: str, wheel: str, algorithm: str, digest: str
    ) -> None:
        self._stream, self._name, self._wheel = stream, name, wheel
        self._algorithm, self._expected = algorithm, digest
        self._hash = hashlib.new(algorithm)

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes; raises Refused at the end when they are not RECORD's."""
        data = self._stream.read(size)
        self._hash.update(data)
        if size < 0 or (size and not data):
            self._compare()
        return data

    def vouch_for(self, chunks: Iterable[bytes]) -> str:
        """Return the sha256 of `chunks`, which are read in its place and must be the same bytes."""
        own = hashlib.sha256()
        for chunk in chunks:
            self._hash.update(chunk)
            if self._algorithm != "sha256":
                own.update(chunk)
        self._compare()
        return self.sha256 or encoded(own.digest())

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Fill `buffer`."""
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    @property
    def stated(self) -> str | None:
        """The sha256 that RECORD states; None where it states another digest."""
        return self._expected.rstrip("=") if self._algorithm == "sha256" else None

    @property
    def sha256(self) -> str | None:
        """The digest of what was read, where RECORD made it be computed."""
        return encoded(self._hash.digest()) if self._algorithm == "sha256" else None

    def _compare(self) -> None:
        if encoded(self._hash.digest()) != self._expected.rstrip("="):
            raise Refused(f"{quoted(self._name)} is not what RECORD says", at=self._wheel)


def encoded(digest: bytes) -> str:
    """Return `digest` as RECORD writes it: URL-safe base64 without padding."""
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def size_of(path: Path) -> int:
    """Return the number of bytes of the file at `path`."""
    return path.stat().st_size
