"""Images of made libraries: layers in files, read back as the check after a build reads them."""

import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path

from modelpack.checks.elf.gate import Closure, Settings, closure
from modelpack.checks.elf.objects import LayerFile, Objects, objects
from modelpack.oci.tar import Entry, bytes_of, pieces
from modelpack.oci.tree import Tree
from modelpack.platform import Platform
from tests.debian_archive import library

AMD64 = Platform("linux", "amd64")
PYTHON = "/usr/bin/python3.13"
SYSTEM = "usr/lib/x86_64-linux-gnu"
SITE = "opt/venv/lib/python3.13/site-packages"
Files = Mapping[str, bytes | str | Entry]
"content by path; a text is where a link leads"
NOTHING: Files = {}
BASE: Files = {
    "usr/bin/python3.13": library(needed=("libc.so.6", "libz.so.1")),
    f"{SYSTEM}/libc.so.6": library("libc.so.6"),
    f"{SYSTEM}/libz.so.1": "libz.so.1.3.1",
    f"{SYSTEM}/libz.so.1.3.1": library("libz.so.1", needed=("libc.so.6",)),
    "lib": "usr/lib",
}


def layer_file(folder: Path, kind: str, files: Files, *, packed: bool = True) -> LayerFile:
    """Write a layer and return where it is."""
    tree = Tree()
    for path, content in files.items():
        if isinstance(content, str):
            tree.link(path, content)
        elif isinstance(content, bytes):
            tree.file(path, content)
        else:
            tree.add(content)
    data = b"".join(bytes_of(piece) for piece in pieces(tree.entries()))
    path = folder / f"{kind}-{len(list(folder.iterdir()))}"
    path.write_bytes(gzip.compress(data, mtime=0) if packed else data)
    return LayerFile(path=path, kind=kind, name=kind)


def wheel(name: str, files: Files, *requires: str, version: str = "1.0") -> Files:
    """Return the files of an installed package below site-packages, with its lists."""
    info = f"{SITE}/{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {line}\n" for line in requires)
    placed = {f"{SITE}/{path}": content for path, content in files.items()}
    record = "".join(f"{path},sha256=x,1\n" for path in files)
    return {
        **placed,
        f"{info}/METADATA": f"{metadata}\nDescription\n".encode(),
        f"{info}/RECORD": f"{record}{name}-{version}.dist-info/RECORD,,\n".encode(),
    }


def read(
    folder: Path,
    *dependencies: Files,
    base: Files = BASE,
    code: Files = NOTHING,
    more: Files = NOTHING,
) -> Objects:
    """Return the objects of an image; `more` are further files of the base."""
    together: dict[str, bytes | str | Entry] = {}
    for files in dependencies:
        together |= files
    layers = [layer_file(folder, "base", {**base, **more})]
    layers += [layer_file(folder, "dependencies", together)] if together else []
    layers += [layer_file(folder, "code", code)] if code else []
    return objects(layers)


def judge(image: Objects, **changes: object) -> Closure:
    """Return what is found out about an image."""
    values: dict[str, object] = {"platform": AMD64, "interpreter": PYTHON, "judge_base": True}
    return closure(image, Settings(**{**values, **changes}))  # type: ignore[arg-type]


def missing(found: Closure) -> Sequence[tuple[str, str]]:
    """Return owner and message of each library that is missing."""
    return [(f.at, f.message.split("`")[1]) for f in found.findings if f.rule == "elf.missing"]
