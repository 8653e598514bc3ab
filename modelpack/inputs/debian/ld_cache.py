"""`/etc/ld.so.cache` as glibc reads it, written without running `ldconfig`."""

import posixpath
import re
import struct

from modelpack.inputs.debian.elf import dynamic
from modelpack.oci.tar import Entry, bytes_of
from modelpack.oci.tree import Tree
from modelpack.platform import Platform

PATH = "etc/ld.so.cache"
_MAGIC = b"glibc-ld.so.cache1.1"
_LITTLE_ENDIAN = 2
_HEAD = struct.Struct("<20sIIB3xI12x")
_ROW = struct.Struct("<IIIIQ")
_FLAGS = {"amd64": 0x0303, "arm64": 0x0A03}
"FLAG_ELF_LIBC6 with the architecture (glibc, sysdeps/generic/ldconfig.h)"
_LIBRARY = re.compile(r"(?:lib|ld-).*\.so(?:\..*)?")
_MAX_LINKS = 16
_MAX_TEXT = 4096


def folders(platform: Platform) -> tuple[str, ...]:
    """Return where Debian's loader looks, in order (/etc/ld.so.conf.d, then glibc's own)."""
    multiarch = platform.multiarch
    return ("usr/local/lib", f"usr/local/lib/{multiarch}", f"usr/lib/{multiarch}", "usr/lib")


def build(tree: Tree, platform: Platform) -> bytes:
    """Return the cache of the libraries in `tree`.

    The loader searches by halves: entries go down in the order of its own comparison, and a
    wrong one hides libraries silently. Source: glibc, elf/dl-cache.c and its dl-cache.h.
    """
    found = [
        (name, path)
        for folder in folders(platform)
        for name, path in _libraries(tree, folder, platform)
    ]
    found.sort(key=lambda item: _loader_key(item[0]), reverse=True)
    position = _HEAD.size + _ROW.size * len(found)
    rows, strings = bytearray(), bytearray()
    for name, path in found:
        value = position + len(strings)
        text = path.encode()
        # The name is the tail of the path.
        rows += _ROW.pack(
            _FLAGS[platform.architecture], value + len(text) - len(name.encode()), value, 0, 0
        )
        strings += text + b"\0"
    head = _HEAD.pack(_MAGIC, len(found), len(strings), _LITTLE_ENDIAN, 0)
    return head + bytes(rows) + bytes(strings)


def parse(data: bytes, platform: Platform) -> dict[str, str]:
    """Return path by name of what `/etc/ld.so.cache` lists for `platform`; nothing when damaged.

    The format before glibc 2.32 stands behind an older one, which is passed over.
    """
    start = data.find(_MAGIC)
    found: dict[str, str] = {}
    if start < 0 or len(data) < start + _HEAD.size:
        return found
    data = data[start:]
    count = _HEAD.unpack_from(data)[1]
    for number in range(min(count, (len(data) - _HEAD.size) // _ROW.size)):
        flags, name, path, _, features = _ROW.unpack_from(data, _HEAD.size + number * _ROW.size)
        if flags == _FLAGS[platform.architecture] and not features:
            found.setdefault(_text(data, name), _text(data, path))
    return found


def _text(data: bytes, offset: int) -> str:
    return data[offset : offset + _MAX_TEXT].partition(b"\0")[0].decode(errors="replace")


def _libraries(tree: Tree, folder: str, platform: Platform) -> list[tuple[str, str]]:
    """Return name and path of what `ldconfig` would list: a library under its own name or link."""
    found = []
    for path, entry in tree.items():
        parent, _, name = path.rpartition("/")
        if parent != folder or not _LIBRARY.fullmatch(name):
            continue
        file = follow(tree, entry)
        info = dynamic(bytes_of(file.content)) if file is not None else None
        if info is None or not info.shared_object or info.machine != platform.machine:
            continue
        soname = info.soname or name
        if name in (soname, soname.partition(".so")[0] + ".so"):
            found.append((name, "/" + path))
    return found


def follow(tree: Tree, entry: Entry) -> Entry | None:
    """Return the file that `entry` is or leads to within `tree`, or None."""
    for _ in range(_MAX_LINKS):
        if entry.kind == "file":
            return entry
        if entry.kind == "directory":
            return None
        target = entry.target
        if entry.kind == "symlink":
            base = posixpath.dirname(entry.path)
            target = posixpath.normpath(posixpath.join("/", base, target)).lstrip("/")
        known = tree.get(target) or tree.get(f"usr/{target}")
        if known is None:
            return None
        entry = known
    return None


def _loader_key(name: str) -> list[tuple[int, int]]:
    """Sort as `_dl_cache_libcmp` does: runs of digits by value, above any other character."""
    return [
        (1, int(token)) if token.isdigit() else (0, ord(token))
        for token in re.findall(r"[0-9]+|[^0-9]", name)
    ]
