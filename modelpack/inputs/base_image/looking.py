"""One look into the layers of an image: its Python, its C library, and what helps intruders."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from posixpath import basename, dirname

from modelpack.digest import Digest
from modelpack.errors import InputError, Refused
from modelpack.inputs.base_image import layer_stream
from modelpack.inputs.base_image.content_notes import Noted, note
from modelpack.inputs.base_image.contents import Contents, Finds, Python
from modelpack.inputs.base_image.merged_tree import MergedTree, Node
from modelpack.lock import BaseLayer
from modelpack.oci.manifest import printable
from modelpack.oci.tar_reading import passing
from modelpack.progress import SILENT, Progress

_SIZE_LIMIT = 64 << 30
"bytes of one layer, uncompressed"
_MEMBER_LIMIT = 1_000_000
_KEPT = 20
"paths of each kind"
_FOLDERS_KEPT = 20_000
_DEPTH_KEPT = 3
"of what is no folder: who puts something below it has a shallow place"
_SYSTEM = frozenset(
    "bin boot dev etc lib lib32 lib64 libx32 proc root run sbin sys tmp usr var".split()  # noqa: SIM905
)
"at the top, where no spec may put anything"
_CERTIFICATES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
"where distributions keep the certificates that they trust"
_MULTIARCH = ("x86_64-linux-gnu", "aarch64-linux-gnu")
_LIBRARIES = tuple(
    folder
    for top in ("/lib", "/usr/lib")
    for folder in (*(f"{top}/{name}" for name in _MULTIARCH), f"{top}64", top)
)
_PROGRAM_FOLDERS = (
    "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin",
)  # fmt: skip
_PLAIN = re.compile(r"[A-Za-z0-9/._+-]{1,200}")
"paths that may stand in a configuration, in a `#!` line and in messages"
_INTERPRETER = re.compile(r"python(3\.[0-9]{1,3})")
_MUSL = re.compile(r"ld-musl-.*\.so\.1")
_SHELLS = re.compile(
    r"sh|ash|bash|busybox|csh|dash|elvish|fish|ksh|ksh93|mksh|rbash|sash|tcsh|toybox|yash|zsh"
)
_PACKAGE_MANAGERS = re.compile(
    r"apk|apt|apt-get|aptitude|conda|dnf|dnf-3|dpkg|mamba|microdnf|micromamba|npm|opkg|pacman"
    r"|pip|pip3|pip3\.[0-9]+|rpm|snap|tdnf|uv|yum|zypper"
)
_COMPILERS = re.compile(
    r"(?:[a-z0-9_]+-linux-gnu-)?(?:gcc|g\+\+|cpp|gfortran|ld|as|clang|clang\+\+)(?:-[0-9.]+)?"
    r"|cc|c\+\+|c89|c99|tcc|nvcc|go|rustc|cargo|javac"
)


def look(
    layers: Sequence[BaseLayer],
    paths: Mapping[Digest, Path],
    *,
    search: Sequence[str],
    name: str,
    progress: Progress = SILENT,
) -> Contents:
    """Return what the image of `layers` holds; `search` are the folders of its PATH.

    Raises InputError for a layer that is damaged or hostile, and Refused for one that is not what
    the image's configuration says.
    """
    tree = MergedTree()
    total = sum(layer.size for layer in layers)
    with progress.task(f"looking into {name}", total) as advance:
        for number, layer in enumerate(layers):
            _add(tree, number, layer, paths[layer.digest], at=f"{name}: {layer.digest}")
            advance(layer.size)
    return _contents(tree, search)


def _add(tree: MergedTree, number: int, layer: BaseLayer, path: Path, *, at: str) -> None:
    with layer_stream.opened(path, limit=_SIZE_LIMIT, at=at) as stream:
        for header in passing(stream, at=at, limit=_MEMBER_LIMIT):
            if header.flag == b"S" or any("GNU.sparse" in key for key in header.keys):
                raise InputError(f"a sparse file: `{printable(header.name)}`", at=at)
            node = tree.add(header, number, at=at)
            if node is not None and node.kind == "file" and header.is_file:
                node.noted = note(header.name, stream.content(header.size))
        diff_id = stream.finish()
    if diff_id != layer.diff_id:
        raise Refused(
            f"the layer is {diff_id} when decompressed; the configuration says {layer.diff_id}",
            at=at,
        )


def _contents(tree: MergedTree, search: Sequence[str]) -> Contents:
    found = dict(_interpreters(tree, search))
    whole = {path: node for path, node in found.items() if _has_library(tree, path)}
    default = next((real[0] for place in search if (real := tree.file(f"{place}/python3"))), "")
    folders, links = list[str](), list[str]()
    for top in sorted(set(tree.names("/")) - _SYSTEM):
        _survey(tree, f"/{top}", folders, links)
    everything = list(tree.below())
    return Contents(
        pythons=tuple(_python(tree, path, node) for path, node in whole.items()),
        default=default if default in whole else "",
        without_library=tuple(path for path in found if path not in whole),
        glibc=_glibc(tree),
        musl=any(_MUSL.fullmatch(name) for place in _LIBRARIES for name in tree.names(place)),
        certificates=tuple(path for path in _CERTIFICATES if _holds(tree, path)),
        shells=_programs(tree, search, _SHELLS),
        package_managers=_programs(tree, search, _PACKAGE_MANAGERS),
        compilers=_programs(tree, search, _COMPILERS),
        setuid=_finds(path for path, node in everything if _gains_rights(node)),
        writable=_finds(path for path, node in everything if _is_writable(node)),
        folders=tuple(map(printable, folders[:_FOLDERS_KEPT])),
        links=tuple(map(printable, links[:_FOLDERS_KEPT])),
        sampled=max(len(folders), len(links)) > _FOLDERS_KEPT,
    )


def _interpreters(tree: MergedTree, search: Sequence[str]) -> Iterator[tuple[str, Node]]:
    """Yield the interpreters that PATH leads to, each as the file that it is."""
    for place in search:
        for name in sorted(tree.names(place)):
            found = tree.file(f"{place}/{name}") if _INTERPRETER.fullmatch(name) else None
            if found and _PLAIN.fullmatch(found[0]) and _INTERPRETER.fullmatch(basename(found[0])):
                yield found


def _has_library(tree: MergedTree, path: str) -> bool:
    prefix, name = dirname(dirname(path)).rstrip("/"), basename(path)
    return any(_holds(tree, f"{prefix}/{lib}/{name}/os.py") for lib in ("lib", "lib64"))


def _python(tree: MergedTree, path: str, node: Node) -> Python:
    """Return the interpreter at `path` with what proves its version, the program itself first."""
    own = node.noted or Noted()
    if own.version:
        return Python(path=path, version=own.version, proof=path, machine=own.machine)
    prefix, name = dirname(dirname(path)).rstrip("/"), basename(path)
    places = (f"{prefix}/lib", f"{prefix}/lib64", *_LIBRARIES)
    for candidate in (
        *(f"{place}/lib{name}.so.1.0" for place in places),
        f"{prefix}/include/{name}/patchlevel.h",
    ):
        found = tree.file(candidate)
        if found and found[1].noted and found[1].noted.version:
            version = found[1].noted.version
            return Python(path=path, version=version, proof=found[0], machine=own.machine)
    return Python(path=path, version="", proof="", machine=own.machine)


def _glibc(tree: MergedTree) -> str:
    for place in _LIBRARIES:
        found = tree.file(f"{place}/libc.so.6")
        if found and found[1].noted and found[1].noted.version:
            return found[1].noted.version
    return ""


def _holds(tree: MergedTree, path: str) -> bool:
    found = tree.file(path)
    return found is not None and found[1].size > 0


def _programs(tree: MergedTree, search: Sequence[str], names: re.Pattern[str]) -> Finds:
    """Find programs by name, each folder once however many names it has."""
    places = {found[0] for place in (*search, *_PROGRAM_FOLDERS) if (found := tree.find(place))}
    return _finds(
        f"{place}/{name}"
        for place in sorted(places)
        for name in sorted(tree.names(place))
        if names.fullmatch(name) and tree.file(f"{place}/{name}")
    )


def _gains_rights(node: Node) -> bool:
    return node.kind == "file" and bool(node.mode & 0o6000)


def _is_writable(node: Node) -> bool:
    if node.uid or not node.mode & 0o002 or node.kind not in ("file", "directory"):
        return False
    return node.kind == "file" or not node.mode & 0o1000


def _finds(paths: Iterator[str]) -> Finds:
    found = list(paths)
    return Finds(paths=tuple(printable(path) for path in found[:_KEPT]), count=len(found))


def _survey(tree: MergedTree, top: str, folders: list[str], links: list[str]) -> None:
    """Note where files are below `top`, and near the top what is no folder."""
    holding = set()
    own = tree.find(dirname(top))
    first = own[1].children[basename(top)] if own else None
    if first is not None and first.kind != "directory":
        links.append(top)
        return
    for path, node in tree.below(top):
        if node.kind != "directory":
            holding.add(dirname(path))
            if path.count("/") <= _DEPTH_KEPT:
                links.append(path)
    folders += sorted(holding)
