"""What an ELF file is and what its loader reads of it: the machine, and the dynamic section."""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

MAGIC = b"\x7fELF"
IDENTITY_SIZE = 20
"bytes that say what a file is"
_IDENT = b"\x7fELF\x02\x01"
"64 bits, little endian: what amd64 and arm64 are"
_HEADER = struct.Struct("<16xHHIQQQIHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_DYNAMIC = struct.Struct("<qQ")
_PT_LOAD, _PT_DYNAMIC = 1, 2
_ET_EXEC, _ET_DYN = 2, 3
_DT_NULL, _DT_NEEDED, _DT_STRTAB, _DT_SONAME, _DT_RPATH, _DT_RUNPATH = 0, 1, 5, 14, 15, 29
_MAX_SEGMENTS = 4096
_MAX_TAGS = 4096
_MAX_NAME = 4096
MACHINES = {
    3: "i386", 21: "ppc64", 22: "s390x", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv",
}  # fmt: skip
"processors, as in uname; code for GPUs and the kernel's virtual machine is ELF too"

Read = Callable[[int, int], bytes]
"from an offset, so many bytes or as many as there are"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dynamic:
    """What the loader reads of an ELF file."""

    machine: str
    "as in uname; empty for one that we do not know"
    shared_object: bool
    "a library or a position-independent program"
    needed: tuple[str, ...]
    soname: str
    rpath: tuple[str, ...]
    "folders, `$ORIGIN` unexpanded"
    runpath: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ElfFile:
    """A program or library."""

    machine: str
    "as in uname"
    dynamic: Dynamic | None
    "None for one that needs no loader, and for 32 bits"


def read(at: Read) -> ElfFile | None:
    """Return the program or library that `at` reads; None for all else."""
    start = at(0, IDENTITY_SIZE)
    if len(start) < IDENTITY_SIZE or not start.startswith(MAGIC):
        return None
    kind, number = struct.unpack_from("<HH" if start[5] == 1 else ">HH", start, 16)
    if kind not in (_ET_EXEC, _ET_DYN) or number not in MACHINES:
        return None
    return ElfFile(machine=MACHINES[number], dynamic=read_dynamic(at))


def dynamic(data: bytes) -> Dynamic | None:
    """Return the dynamic section of `data`; None where it is none, static or damaged."""
    return read_dynamic(lambda offset, size: data[offset : offset + size])


def read_dynamic(read: Read) -> Dynamic | None:
    """Return the dynamic section of the file that `read` reads; None as in `dynamic`.

    Asks for four places: the start, the table of segments, the section, the strings. Source:
    System V ABI, "Object Files" and "Dynamic Linking".
    """
    start = read(0, _HEADER.size)
    if not start.startswith(_IDENT):
        return None
    try:
        return _dynamic(start, read)
    except (struct.error, ValueError, OverflowError):
        return None


def _dynamic(start: bytes, read: Read) -> Dynamic | None:
    kind, number, _, _, table, _, _, _, entry_size, count = _HEADER.unpack_from(start)
    if entry_size < _SEGMENT.size or count > _MAX_SEGMENTS:
        return None
    rows = read(table, entry_size * count)
    segments = [_SEGMENT.unpack_from(rows, i * entry_size) for i in range(count)]
    section = next(((s[2], s[5]) for s in segments if s[0] == _PT_DYNAMIC), None)
    if section is None:
        return None
    tags = list(_tags(read(section[0], min(section[1], _MAX_TAGS * _DYNAMIC.size))))
    address = next((value for tag, value in tags if tag == _DT_STRTAB), None)
    strings = next(
        (
            address - start + offset
            for kind_, _, offset, start, _, size, _, _ in segments
            if kind_ == _PT_LOAD and address is not None and start <= address < start + size
        ),
        None,
    )
    if strings is None:  # such as a detached debug file
        return None
    origin = strings
    read(origin, 1)  # first of all where they begin: who reads forwards only keeps what follows

    def texts(wanted: int) -> tuple[str, ...]:
        return tuple(_text(read(origin + value, _MAX_NAME)) for tag, value in tags if tag == wanted)

    def folders(wanted: int) -> tuple[str, ...]:
        return tuple(part for text in texts(wanted) for part in text.split(":") if part)

    return Dynamic(
        machine=MACHINES.get(number, ""),
        shared_object=kind == _ET_DYN,
        needed=texts(_DT_NEEDED),
        soname=next(iter(texts(_DT_SONAME)), ""),
        rpath=folders(_DT_RPATH),
        runpath=folders(_DT_RUNPATH),
    )


def _tags(section: bytes) -> Iterator[tuple[int, int]]:
    for offset in range(0, len(section) - _DYNAMIC.size + 1, _DYNAMIC.size):
        tag, value = _DYNAMIC.unpack_from(section, offset)
        if tag == _DT_NULL:
            return
        yield tag, value


def _text(data: bytes) -> str:
    """Return the string at the start of `data`; raises ValueError when it has no end."""
    return data[: data.index(b"\0")].decode()
