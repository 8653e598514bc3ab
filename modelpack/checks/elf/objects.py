"""The programs and libraries of an image, read from its layers: nothing is unpacked.

Only what the loader reads of each object is kept, and who brought it: a wheel by its RECORD, a
Debian package by its list of files, else the author's code or the base.
"""

import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelpack.errors import InputError
from modelpack.inputs import elf_stream
from modelpack.inputs.base_image.layer_stream import LayerStream, opened
from modelpack.inputs.base_image.merged_tree import MergedTree, Node
from modelpack.inputs.debian.elf import ElfFile
from modelpack.inputs.elf_stream import Behind, Known
from modelpack.oci.tar_reading import Header, passing

CACHE = "/etc/ld.so.cache"
_HARD_LINK = b"1"
_MEMBER_LIMIT = 1_000_000
_SIZE_LIMIT = 256 << 30
"bytes of a layer when decompressed"
_LIST_LIMIT = 32 << 20
"bytes of a list of files; PyTorch's has 2 MB"
_LISTS_LIMIT = 512 << 20
_LISTS = re.compile(r"(?:.*/)?[^/]+\.dist-info/(?:RECORD|METADATA)")
_PACKAGES = re.compile(r"var/lib/dpkg/(?:status\.d|info)/([a-z0-9][a-z0-9+.-]+)(?::\w+)?\.md5sums")
_REQUIRES = re.compile(r"^Requires-Dist: *([A-Za-z0-9][A-Za-z0-9._-]*)", re.MULTILINE)
_NAME = re.compile(r"^(Name|Version): *([A-Za-z0-9][A-Za-z0-9._+!-]*)\s*$", re.MULTILINE)
_PASSES = 4
"over one layer: each gets further with every file that is read out of order"


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerFile:
    """A layer to look into."""

    path: Path
    kind: str
    "`base`, `dependencies` or `code`"
    name: str
    "for messages"


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """An installed Python package: what it is called, and what it asks for."""

    name: str
    version: str
    requires: frozenset[str]
    "normalized names, whatever the conditions"

    def __str__(self) -> str:
        return f"{self.name} {self.version}".strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    """A program or library, and the kind of its layer."""

    file: ElfFile
    layer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Objects:
    """All programs and libraries of an image, by real path."""

    tree: MergedTree
    found: Mapping[str, Object]
    distributions: Mapping[str, Distribution]
    "by normalized name"
    owners: Mapping[str, str]
    "normalized name of the distribution that brought an object"
    packages: Mapping[str, str]
    "name of the Debian package that brought an object"
    cache: bytes
    "of the loader"

    def owner(self, path: str) -> str:
        """Return who brought the object at `path`, for people."""
        if name := self.owners.get(path):
            return str(self.distributions[name])
        return self.packages.get(path) or self.found[path].layer


def objects(layers: Sequence[LayerFile]) -> Objects:
    """Return what the layers hold together; raises InputError for one that is damaged."""
    tree, noted, lists = MergedTree(), _Noted(), dict[str, bytes]()
    for number, layer in enumerate(layers):
        _read(tree, layer, number, noted, lists)
    found = {path: item for path, node in tree.below() if (item := noted.get(node))}
    distributions, owners = _distributions(tree, lists, found)
    return Objects(
        tree=tree, found=found, distributions=distributions, owners=owners,
        packages=_packages(tree, lists, found), cache=lists.get(CACHE.strip("/"), b""),
    )  # fmt: skip


class _Noted:
    """What was found in the files of a tree."""

    def __init__(self) -> None:
        # The node is kept, or another one could get its identity.
        self._found: dict[int, tuple[Node, Object]] = {}

    def put(self, node: Node, item: Object) -> None:
        self._found[id(node)] = (node, item)

    def get(self, node: Node) -> Object | None:
        found = self._found.get(id(node))
        return found[1] if found else None


def _read(
    tree: MergedTree, layer: LayerFile, number: int, noted: _Noted, lists: dict[str, bytes]
) -> None:
    """Add a layer to `tree`, its programs and libraries to `noted`, its lists to `lists`."""
    behind: dict[int, tuple[Node, Known]] = {}
    with opened(layer.path, limit=_SIZE_LIMIT, at=layer.name) as stream:
        for header in passing(stream, at=layer.name, limit=_MEMBER_LIMIT):
            node = tree.add(header, number, at=layer.name)
            if node is None:
                continue
            if header.flag == _HARD_LINK:
                linked = tree.file(header.target)
                if linked and (item := noted.get(linked[1])):
                    noted.put(node, item)
            elif name := _list_name(header):
                _keep(lists, name, stream.read(header.size), layer)
            elif header.is_file and (item := _look(stream, header, node, Known(), layer, behind)):
                noted.put(node, item)
    for _ in range(_PASSES):
        if not behind:
            return
        again, behind = behind, {}
        with opened(layer.path, limit=_SIZE_LIMIT, at=layer.name) as stream:
            for header in passing(stream, at=layer.name, limit=_MEMBER_LIMIT):
                if header.offset in again:
                    node, known = again[header.offset]
                    if item := _look(stream, header, node, known, layer, behind):
                        noted.put(node, item)


def _look(
    stream: LayerStream,
    header: Header,
    node: Node,
    known: Known,
    layer: LayerFile,
    behind: dict[int, tuple[Node, Known]],
) -> Object | None:
    """Return what a member is, None for no program; noted in `behind` if it takes another pass."""
    try:
        file = elf_stream.read(stream, header.size, known)
    except Behind:
        behind[header.offset] = (node, known)
        return None
    return Object(file=file, layer=layer.kind) if file else None


def _list_name(header: Header) -> str:
    """Return the normal path of a list that is worth keeping; empty for all other files."""
    name = posixpath.normpath(header.name).lstrip("/")
    if not header.is_file:
        return ""
    wanted = name == CACHE.strip("/") or _LISTS.fullmatch(name) or _PACKAGES.fullmatch(name)
    return name if wanted and header.size <= _LIST_LIMIT else ""


def _keep(lists: dict[str, bytes], name: str, data: bytes, layer: LayerFile) -> None:
    lists[name] = data
    if sum(map(len, lists.values())) > _LISTS_LIMIT:
        raise InputError(f"lists files in more than {_LISTS_LIMIT >> 20} MiB", at=layer.name)


def _distributions(
    tree: MergedTree, lists: Mapping[str, bytes], found: Mapping[str, Object]
) -> tuple[Mapping[str, Distribution], Mapping[str, str]]:
    """Return the installed Python packages, and which of them brought each object."""
    distributions: dict[str, Distribution] = {}
    owners: dict[str, str] = {}
    for path in sorted(lists):
        folder, _, kind = path.rpartition("/")
        if kind != "METADATA":
            continue
        text = lists[path].decode(errors="replace").split("\n\n", 1)[0]
        stated = dict(_NAME.findall(text))
        name = normalized(stated.get("Name", ""))
        distributions[name] = Distribution(
            name=name, version=stated.get("Version", ""),
            requires=frozenset(map(normalized, _REQUIRES.findall(text))),
        )  # fmt: skip
        record = lists.get(f"{folder}/RECORD", b"").decode(errors="replace")
        site = posixpath.dirname(folder)
        for line in record.splitlines():
            written = line.rsplit(",", 2)[0].strip('"')
            if real := _real(tree, posixpath.join("/", site, written), found):
                owners[real] = name
    return distributions, owners


def _packages(
    tree: MergedTree, lists: Mapping[str, bytes], found: Mapping[str, Object]
) -> Mapping[str, str]:
    """Return which Debian package brought each object."""
    owners: dict[str, str] = {}
    for path in sorted(lists):
        if match := _PACKAGES.fullmatch(path):
            for line in lists[path].decode(errors="replace").splitlines():
                if real := _real(tree, "/" + line[34:].strip(), found):
                    owners[real] = match[1]
    return owners


def _real(tree: MergedTree, path: str, found: Mapping[str, Object]) -> str:
    """Return the real path of an object that is listed as `path`; empty for all else."""
    path = posixpath.normpath(path)
    if path in found:
        return path
    if ".so" not in path and "/bin/" not in path:
        return ""
    file = tree.file(path)
    return file[0] if file and file[0] in found else ""


def normalized(name: str) -> str:
    """Return the name of a distribution as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
