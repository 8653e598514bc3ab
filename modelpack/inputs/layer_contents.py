"""Which packages a layer holds: the records that package managers leave, read as hostile.

One way for every base: assembled, from a registry, made by Docker; a scanner looks at the same
files. Read from the entries of a layer that is being made, or from a finished layer's tar.
"""

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Literal, TypeVar

from modelpack.inputs import apk
from modelpack.inputs.debian import copyright as debian_copyright
from modelpack.inputs.debian import deb822
from modelpack.inputs.licenses import UNKNOWN, Licenses
from modelpack.inputs.python import core_metadata
from modelpack.inputs.python.core_metadata import Distribution
from modelpack.oci.tar import Entry, bytes_of
from modelpack.oci.tar_reading import Source, passing

_DPKG = re.compile(r"var/lib/dpkg/(?:status|status\.d/[^/]+)")
_UNREAD = re.compile(
    r"(?:var/lib/rpm|usr/lib/sysimage/rpm)/(?:rpmdb\.sqlite|Packages|Packages\.db)"
    r"|var/lib/rpmmanifest/container-manifest-[12]"
)
"databases of RPM packages, in their binary forms"
_COPYRIGHT = re.compile(r"usr/share/doc/([^/]+)/copyright")
_DOCUMENTS = re.compile(r"usr/share/doc/([^/]+)")
_PYTHON = re.compile(r"(?:.*/)?[^/]+\.(?:dist-info/METADATA|egg-info/PKG-INFO|egg-info)")
_SYSTEM = re.compile(r"(?:usr/lib|etc)/os-release")
_FILE_LIMIT = 64 << 20
"bytes of one record"
_MEMBER_LIMIT = 1_000_000
_RECORD_LIMIT = 100_000
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]{0,200}")
_DEBIAN_VERSION = re.compile(r"[A-Za-z0-9.+~:-]{1,200}")
_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_NOTHING: Mapping[str, str] = MappingProxyType({})

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledPackage:
    """A package of a distribution, as the records of dpkg or apk describe it."""

    name: str
    version: str
    architecture: str
    source: str
    source_version: str
    depends: tuple[str, ...]
    "names of all alternatives, in order"
    format: Literal["deb", "apk"] = "deb"


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerContents:
    """The records of packages that one layer brings and takes away, by path."""

    packages: Mapping[str, tuple[InstalledPackage, ...]] = field(default_factory=dict)
    "by the file that holds the records"
    licenses: Mapping[str, Licenses] = field(default_factory=dict)
    "by name of the package"
    links: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    "documents of one Debian package that are those of another"
    distributions: Mapping[str, Distribution] = field(default_factory=dict)
    "by the file that describes them"
    system: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    "fields of os-release"
    unread: tuple[str, ...] = ()
    "databases of packages that are not read"
    removed: tuple[str, ...] = ()
    "paths that earlier layers may have and that are gone, with all below"


def of_entries(entries: Iterable[Entry]) -> LayerContents:
    """Return what a layer with `entries` holds."""
    return _Reader().read(
        (entry.path, bytes_of(entry.content) if entry.kind == "file" else None, entry.target)
        for entry in entries
        if _is_wanted(entry.path, is_file=entry.kind == "file")
        or (entry.kind == "file" and _UNREAD.fullmatch(entry.path))
    )


def of_tar(source: Source, *, at: str) -> LayerContents:
    """Return what the layer whose uncompressed tar is `source` holds.

    Raises InputError when the tar is damaged.
    """
    return _Reader().read(_wanted(source, at))


def merged(layers: Sequence[LayerContents]) -> LayerContents:
    """Return what is there when `layers` lie on each other."""
    whole = LayerContents()
    for layer in layers:
        gone = frozenset(layer.removed)
        whole = LayerContents(
            packages={**_without(whole.packages, gone), **layer.packages},
            licenses={**whole.licenses, **layer.licenses},
            links={**whole.links, **layer.links},
            distributions={**_without(whole.distributions, gone), **layer.distributions},
            system=layer.system or whole.system,
            unread=tuple(sorted({*_without(dict.fromkeys(whole.unread), gone), *layer.unread})),
        )
    return whole


def license_of(contents: LayerContents, package: str) -> Licenses:
    """Return the licence of a Debian package; unknown where its records do not tell."""
    return contents.licenses.get(contents.links.get(package, package), UNKNOWN)


def _without(records: Mapping[str, T], gone: AbstractSet[str]) -> dict[str, T]:
    """Return the records whose file, and every folder above it, is not `gone`."""
    return {
        path: record
        for path, record in records.items()
        if not gone
        or gone.isdisjoint(("", path, *(str(above) for above in PurePosixPath(path).parents)))
    }


def _is_wanted(path: str, *, is_file: bool) -> bool:
    if not is_file:
        return bool(_DOCUMENTS.fullmatch(path) or _COPYRIGHT.fullmatch(path))
    return bool(
        _DPKG.fullmatch(path) or apk.DATABASE.fullmatch(path) or _COPYRIGHT.fullmatch(path)
        or _PYTHON.fullmatch(path) or _SYSTEM.fullmatch(path)
        or posixpath.basename(path).startswith(_WHITEOUT)
    )  # fmt: skip


def _is_printable(text: str) -> bool:
    """Tell whether a name can stand in a document: no control characters, valid UTF-8."""
    return text.isprintable() and not any("\ud800" <= one <= "\udfff" for one in text)


def _wanted(source: Source, at: str) -> Iterator[tuple[str, bytes | None, str]]:
    for header in passing(source, at=at, limit=_MEMBER_LIMIT):
        path = posixpath.normpath(header.name).lstrip("/")
        if header.is_file and _UNREAD.fullmatch(path):
            yield path, b"", ""
        elif header.size <= _FILE_LIMIT and _is_wanted(path, is_file=header.is_file):
            content = source.read(header.size) if header.is_file else None
            if _is_printable(path) and _is_printable(header.target):
                yield path, content, header.target


class _Reader:
    """Sorts records by what they describe."""

    def __init__(self) -> None:
        self.packages: dict[str, tuple[InstalledPackage, ...]] = {}
        self.licenses: dict[str, Licenses] = {}
        self.links: dict[str, str] = {}
        self.distributions: dict[str, Distribution] = {}
        self.system: dict[str, str] = {}
        self.unread: list[str] = []
        self.removed: list[str] = []

    def read(self, records: Iterable[tuple[str, bytes | None, str]]) -> LayerContents:
        for number, (path, content, target) in enumerate(records):
            if number > _RECORD_LIMIT:
                break
            if content is None:
                self._link(path, target)
            else:
                self._file(path, content)
        return LayerContents(
            packages=dict(sorted(self.packages.items())),
            licenses=dict(sorted(self.licenses.items())),
            links=dict(sorted(self.links.items())),
            distributions=dict(sorted(self.distributions.items())),
            system=self.system, unread=tuple(sorted(set(self.unread))),
            removed=tuple(sorted(self.removed)),
        )  # fmt: skip

    def _link(self, path: str, target: str) -> None:
        """Note that the documents of a package are those of another."""
        parts = path.split("/")
        place = posixpath.normpath(posixpath.join("/", posixpath.dirname(path), target))
        found = _COPYRIGHT.fullmatch(place.lstrip("/")) or _DOCUMENTS.fullmatch(place.lstrip("/"))
        if found and found[1] != parts[3] and target:
            self.links[parts[3]] = found[1]

    def _file(self, path: str, content: bytes) -> None:
        folder, name = posixpath.split(path)
        if name.startswith(_WHITEOUT):
            self.removed.append(
                folder if name == _OPAQUE else posixpath.join(folder, name[len(_WHITEOUT) :])
            )
        elif _UNREAD.fullmatch(path):
            self.unread.append(path)
        elif apk.DATABASE.fullmatch(path):
            self._apk(path, content)
        elif _DPKG.fullmatch(path):
            if not name.endswith(".md5sums"):
                self.packages[path] = tuple(_packages(content))
        elif found := _COPYRIGHT.fullmatch(path):
            if known := debian_copyright.licenses(content):
                self.licenses[found[1]] = known
        elif _SYSTEM.fullmatch(path):
            self.system = _system(content) or self.system
        elif distribution := core_metadata.parse(content):
            self.distributions[path] = distribution

    def _apk(self, path: str, content: bytes) -> None:
        found = list(apk.records(content))
        self.licenses |= {record.name: record.licenses for record in found if record.licenses}
        self.packages[path] = tuple(
            InstalledPackage(
                name=one.name, version=one.version, architecture=one.architecture,
                source=one.origin, source_version=one.version, depends=one.depends, format="apk",
            )
            for one in found
        )  # fmt: skip


def _packages(content: bytes) -> Iterator[InstalledPackage]:
    for paragraph in deb822.paragraphs(content.decode(errors="replace")):
        name, version = paragraph.get("Package", ""), paragraph.get("Version", "")
        status = paragraph.get("Status", "install ok installed").split()
        if not (_PACKAGE.fullmatch(name) and _DEBIAN_VERSION.fullmatch(version)):
            continue
        if status[-1:] != ["installed"]:
            continue
        source, _, of_source = paragraph.get("Source", name).partition(" ")
        depends = f"{paragraph.get('Pre-Depends', '')},{paragraph.get('Depends', '')}"
        yield InstalledPackage(
            name=name, version=version, architecture=paragraph.get("Architecture", ""),
            source=source if _PACKAGE.fullmatch(source) else name,
            source_version=of_source.strip("() ") or version,
            depends=tuple(dict.fromkeys(
                word for option in re.split(r"[,|]", depends)
                if _PACKAGE.fullmatch(word := option.partition("(")[0].strip().partition(":")[0])
            )),
        )  # fmt: skip


def _system(content: bytes) -> dict[str, str]:
    """Return what os-release says of the distribution (freedesktop.org, os-release(5))."""
    found = {}
    for line in content.decode(errors="replace").splitlines():
        key, equals, value = line.partition("=")
        if equals and key in ("ID", "VERSION_ID", "PRETTY_NAME", "VERSION_CODENAME"):
            found[key] = value.strip().strip("\"'")[:200]
    return dict(sorted(found.items()))
