"""The dynamic section of an ELF file: what a program or library needs and is called."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_IDENT = b"\x7fELF\x02\x01"
"64 bits, little endian: what amd64 and arm64 are"
_HEADER = struct.Struct("<16xHHIQQQIHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_DYNAMIC = struct.Struct("<qQ")
_PT_LOAD, _PT_DYNAMIC = 1, 2
_ET_DYN = 3
_DT_NULL, _DT_NEEDED, _DT_STRTAB, _DT_SONAME, _DT_RPATH, _DT_RUNPATH = 0, 1, 5, 14, 15, 29
_MAX_SEGMENTS = 4096
_MAX_TAGS = 65536
_MAX_NAME = 4096
MACHINES = {62: "x86_64", 183: "aarch64"}


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


def dynamic(data: bytes) -> Dynamic | None:
    """Return the dynamic section of `data`; None where it is none, static or damaged.

    Source: System V ABI, "Object Files" and "Dynamic Linking".
    """
    if not data.startswith(_IDENT):
        return None
    try:
        return _dynamic(data)
    except (struct.error, ValueError, OverflowError):
        return None


def _dynamic(data: bytes) -> Dynamic | None:
    kind, machine, _, _, table, _, _, _, entry_size, count = _HEADER.unpack_from(data)
    if entry_size < _SEGMENT.size or count > _MAX_SEGMENTS:
        return None
    segments = [_SEGMENT.unpack_from(data, table + i * entry_size) for i in range(count)]
    section = next(((s[2], s[5]) for s in segments if s[0] == _PT_DYNAMIC), None)
    if section is None:
        return None
    tags = list(_tags(data, *section))
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

    def texts(wanted: int) -> tuple[str, ...]:
        return tuple(_text(data, origin + value) for tag, value in tags if tag == wanted)

    def folders(wanted: int) -> tuple[str, ...]:
        return tuple(part for text in texts(wanted) for part in text.split(":") if part)

    return Dynamic(
        machine=MACHINES.get(machine, ""),
        shared_object=kind == _ET_DYN,
        needed=texts(_DT_NEEDED),
        soname=next(iter(texts(_DT_SONAME)), ""),
        rpath=folders(_DT_RPATH),
        runpath=folders(_DT_RUNPATH),
    )


def _tags(data: bytes, offset: int, size: int) -> Iterator[tuple[int, int]]:
    for number in range(min(size // _DYNAMIC.size, _MAX_TAGS)):
        tag, value = _DYNAMIC.unpack_from(data, offset + number * _DYNAMIC.size)
        if tag == _DT_NULL:
            return
        yield tag, value


def _text(data: bytes, offset: int) -> str:
    """Return the string at `offset`; raises ValueError when it has no end or is no text."""
    return data[offset : data.index(b"\0", offset, offset + _MAX_NAME)].decode()
