"""Packages that an index of Debian offers: the newest of each name over several suites."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from modelpack.errors import InputError, Unavailable
from modelpack.inputs.debian import deb822
from modelpack.inputs.debian.versions import Clause, clauses, key
from modelpack.lock import DebianPackage

_PACKAGE = re.compile(rb"^Package: ?([a-z0-9][a-z0-9+.-]{0,200})$", re.MULTILINE)
_PROVIDES = re.compile(rb"^Provides: ?(.+)$", re.MULTILINE)
_POOL_PATH = re.compile(r"pool/(?:[A-Za-z0-9][A-Za-z0-9+._~%-]*/)+[A-Za-z0-9+._~%-]+\.deb")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MAX_PACKAGE = 2 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A package as an index describes it, with what it needs and what it cannot stand."""

    package: DebianPackage
    depends: tuple[Clause, ...]
    provides: tuple[Clause, ...]
    breaks: tuple[Clause, ...]
    "and conflicts"

    @property
    def name(self) -> str:
        """Name of the package."""
        return self.package.name

    @property
    def version(self) -> str:
        """Version of the package."""
        return self.package.version


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagesFile:
    """The text of a suite's `Packages`."""

    archive: str
    suite: str
    text: bytes


@dataclass(slots=True)
class Index:
    """The packages of some suites; what is not asked for is not parsed."""

    files: Sequence[PackagesFile]
    _places: dict[str, list[tuple[int, int]]] = field(init=False, default_factory=dict)
    "by name: number of the file, offset of the paragraph"
    _candidates: dict[str, Candidate] = field(init=False, default_factory=dict)
    _providers: dict[str, list[str]] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        for number, file in enumerate(self.files):
            for found in _PACKAGE.finditer(file.text):
                self._places.setdefault(found[1].decode(), []).append((number, found.start()))

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def names(self) -> Iterable[str]:
        """Return the names of all packages."""
        return self._places.keys()

    def newest(self, name: str) -> Candidate:
        """Return the highest version of `name`; of equal ones that of the first suite.

        Raises KeyError when there is none, and Unavailable when its paragraph is no package.
        """
        if name not in self._candidates:
            found = [self._read(number, offset) for number, offset in self._places[name]]
            self._candidates[name] = max(found, key=lambda c: key(c.version))
        return self._candidates[name]

    def providers(self, name: str) -> Sequence[str]:
        """Return the names, sorted, of packages that (may) provide the virtual package `name`."""
        if self._providers is None:
            self._providers = self._read_providers()
        return self._providers.get(name, ())

    def _read_providers(self) -> dict[str, list[str]]:
        found: dict[str, set[str]] = {}
        for file in self.files:
            starts = [(m.start(), m[1].decode()) for m in _PACKAGE.finditer(file.text)]
            offsets = [start for start, _ in starts]
            for line in _PROVIDES.finditer(file.text):
                owner = starts[max(bisect_right(offsets, line.start()) - 1, 0)][1]
                for virtual in re.sub(rb"\([^)]*\)", b"", line[1]).split(b","):
                    found.setdefault(virtual.strip().decode(errors="replace"), set()).add(owner)
        return {name: sorted(owners) for name, owners in found.items()}

    def _read(self, number: int, offset: int) -> Candidate:
        file = self.files[number]
        end = file.text.find(b"\n\n", offset)
        text = file.text[offset : end if end >= 0 else len(file.text)]
        try:
            return _candidate(next(deb822.paragraphs(text.decode(errors="replace"))), file)
        except InputError as error:
            raise Unavailable(*error.findings, at=file.suite) from error


def _candidate(fields: deb822.Paragraph, file: PackagesFile) -> Candidate:
    """Return what `fields` describe, or raise Unavailable where they are no proper package."""
    name = fields.get("Package", "")
    at = f"{file.suite}: {name}"
    path, sha256, size = (fields.get(key, "") for key in ("Filename", "SHA256", "Size"))
    if not _POOL_PATH.fullmatch(path) or not _SHA256.fullmatch(sha256) or not size.isdecimal():
        raise Unavailable("the index has a package without a proper path, size or digest", at=at)
    if len(size) > len(str(_MAX_PACKAGE)) or not 0 < int(size) <= _MAX_PACKAGE:
        raise Unavailable(f"the index has a package of {size[:20]} bytes", at=at)
    key(fields.get("Version", ""))
    return Candidate(
        package=DebianPackage(
            name=name,
            version=fields["Version"],
            architecture=fields.get("Architecture", ""),
            source=fields.get("Source", name).partition(" ")[0],
            archive=file.archive,
            suite=file.suite,
            path=path,
            size=int(size),
            sha256=sha256,
        ),
        depends=tuple(_clauses(fields, "Pre-Depends", "Depends")),
        provides=tuple(_clauses(fields, "Provides")),
        breaks=tuple(_clauses(fields, "Breaks", "Conflicts")),
    )


def _clauses(fields: deb822.Paragraph, *names: str) -> Iterator[Clause]:
    for name in names:
        yield from clauses(fields.get(name, ""))
