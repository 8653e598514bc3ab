"""What a few files of an image say about it, noted while its layers pass by.

Programs and libraries are not kept: a version is looked for in their bytes as they come.
"""

import re
from dataclasses import dataclass
from typing import Protocol

from modelpack.inputs.debian.elf import MACHINES

_CHUNK = 256 << 10
_OVERLAP = 512
"bytes: longer than anything looked for"
_ELF_HEADER = 20
_TEXT_LIMIT = 64 << 10
_PYTHON = re.compile(r"(?:.*/)?(?:bin/python|libpython)3\.([0-9]{1,3})(?:\.so\.1\.0)?")
_LIBC = re.compile(r"(?:.*/)?libc(?:\.so\.6|-2\.[0-9]+\.so)")
_PATCHLEVEL = re.compile(r"(?:.*/)?include/python3\.[0-9]{1,3}/patchlevel\.h")
_GLIBC_VERSION = re.compile(rb"GNU C Library [^\n\0]{0,200}? version (2\.[0-9]{1,3})\b")
_HEADER_VERSION = re.compile(rb'#define\s+PY_VERSION\s+"([0-9A-Za-z.+]{3,20})"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """What one file says."""

    version: str = ""
    "of Python or glibc; empty where it says none"
    machine: str = ""
    "of a program or library, as in uname; empty where it is neither, or for another system"


class Content(Protocol):
    """The content of one file, read forwards."""

    def read(self, count: int) -> bytes:
        """Return the next `count` bytes, fewer at the end."""


def note(path: str, content: Content) -> Noted | None:
    """Return what the file that a layer calls `path` says, read as far as needed.

    None: nothing is asked of it.
    """
    if found := _PYTHON.fullmatch(path):
        # CPython holds its version as a text of its own (`PY_VERSION`).
        version = rb"\0(3\.%s\.[0-9]{1,3}[0-9abrc+]{0,6})\0" % found[1].encode()
        return _search(content, re.compile(version))
    if _LIBC.fullmatch(path):
        return _search(content, _GLIBC_VERSION)
    if _PATCHLEVEL.fullmatch(path):
        version_line = _HEADER_VERSION.search(content.read(_TEXT_LIMIT))
        return Noted(version=version_line[1].decode() if version_line else "")
    return None


def _search(content: Content, pattern: re.Pattern[bytes]) -> Noted:
    """Look for `pattern` in a program or library."""
    window = content.read(_CHUNK)
    machine = _machine(window)
    while machine:
        if found := pattern.search(window):
            return Noted(version=found[1].decode(), machine=machine)
        block = content.read(_CHUNK)
        if not block:
            break
        window = window[-_OVERLAP:] + block
    return Noted(machine=machine)


def _machine(start: bytes) -> str:
    """Return what an ELF file of 64 bits, little endian, is for (System V ABI, "ELF Header")."""
    if not start.startswith(b"\x7fELF\x02\x01") or len(start) < _ELF_HEADER:
        return ""
    return MACHINES.get(int.from_bytes(start[18:20], "little"), "")
