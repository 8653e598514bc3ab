"""Look at every member of zip and tar archives, within a budget; archives that lie are hazards."""

import struct
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from modelpack.checks.formats import inflation
from modelpack.checks.formats.hazard import Budget, Hazard, of_member
from modelpack.checks.formats.signatures import is_tar
from modelpack.checks.formats.window import Window, WindowReader, of_bytes
from modelpack.inputs.quoting import quoted

if TYPE_CHECKING:
    from zipfile import ZipInfo

Look = Callable[[Window, str], Iterator[Hazard]]
"classify a member: its window and its name to hazards"

HEAD_OUTPUT = 1 << 16
"bytes decompressed of a member before it is known to need more"
DEEP_OUTPUT = 16 << 20
"bytes decompressed of an archive within an archive"
_TAIL = 22 + 0xFFFF
_END, _END_64, _ENTRY, _LOCAL = b"PK\5\6", b"PK\6\6", b"PK\1\2", b"PK\3\4"
_DIRECTORY_LIMIT = 4 << 20
_BOMB_FROM = 64 << 20
_DESCRIPTOR = 24
_STORED, _DEFLATED, _ENCRYPTED = 0, 8, 0x1
_BLOCK = 512
_PAX_LIMIT = 1 << 20


def zip_end(window: Window) -> int:
    """Return where a zip's end-of-directory record stands, or -1 where no zip ends here.

    Readers search the record from the end (APPNOTE 4.3.16), so a zip may follow anything.
    """
    begin = max(0, window.size - _TAIL)
    tail = window.read(begin, _TAIL)
    found = tail.rfind(_END)
    while found >= 0:
        end = begin + found
        size, offset = _directory_of(window, end)
        places = (end - size, end - 76 - size, offset)
        if size and any(window.read(place, 4) == _ENTRY for place in places if place >= 0):
            return end
        if not size and end == 0:
            return end
        found = tail.rfind(_END, 0, found)
    return -1


def _directory_of(window: Window, end: int) -> tuple[int, int]:
    """Return size and offset of the central directory, from the zip64 record where there is one."""
    size, offset = struct.unpack("<II", window.read(end, 22)[12:20].ljust(8, b"\0"))
    locator = window.read(end - 20, 20)
    if locator[:4] == b"PK\6\7":
        wide = window.read(end - 76, 56)
        if wide[:4] != _END_64:
            wide = window.read(struct.unpack("<Q", locator[8:16])[0], 56)
        if wide[:4] == _END_64 and len(wide) == 56:  # noqa: PLR2004  the record's size
            size, offset = struct.unpack("<QQ", wide[40:56])
    return size, offset


def members(window: Window) -> Iterator[tuple[str, Window]]:
    """Yield the members of a zip, or the first 64 KiB of those that are compressed.

    What is wrong with the archive is `zip_hazards`' to say: it is passed over here.
    """
    end = zip_end(window)
    if end < 0 or _directory_of(window, end)[0] > _DIRECTORY_LIMIT:
        return
    for entry in _entries(window) or ():
        packed = window.part(_data_offset(window, entry), entry.compress_size)
        if entry.compress_type == _STORED:
            yield entry.filename, packed
        elif entry.compress_type == _DEFLATED:
            head = inflation.inflate(packed, "deflate", HEAD_OUTPUT)
            yield entry.filename, of_bytes(head.data, cut=head.cut)


def zip_hazards(window: Window, end: int, look: Look, budget: Budget) -> Iterator[Hazard]:
    """Yield what is wrong with the zip whose end record stands at `end`, and with its members."""
    size, _ = _directory_of(window, end)
    if size > _DIRECTORY_LIMIT:
        yield Hazard(rule="weights.bomb", message=f"zip directory of {size} bytes")
        return
    entries = _entries(window)
    if entries is None:
        yield Hazard(rule="weights.opaque", message="zip whose directory cannot be read")
        return
    budget.spend(members=len(entries))
    yield from _shape(window, entries, end, size)
    yield from _kind({entry.filename for entry in entries})
    for entry in entries:
        if entry.file_size or not entry.filename.endswith("/"):
            yield from _member(window, entry, look, budget)


def _entries(window: Window) -> "tuple[ZipInfo, ...] | None":
    from io import BufferedReader  # noqa: PLC0415  late: everyday commands load this module
    from zipfile import BadZipFile, ZipFile  # noqa: PLC0415

    failures = (BadZipFile, ValueError, NotImplementedError, OSError, EOFError)
    try:
        with ZipFile(BufferedReader(WindowReader(window), 1 << 16)) as archive:
            return tuple(archive.infolist())
    except (*failures, struct.error, OverflowError, IndexError, RuntimeError, TypeError):
        return None


def _shape(
    window: Window, entries: "tuple[ZipInfo, ...]", end: int, directory: int
) -> Iterator[Hazard]:
    """Members lie one after the other from the first byte to the directory, each name once."""
    names = [entry.filename for entry in entries]
    if len(set(names)) != len(names):
        yield Hazard(rule="weights.polyglot", message="zip that holds one name twice")
    position = 0
    for entry in sorted(entries, key=lambda entry: entry.header_offset):
        begin = entry.header_offset
        if begin < position:
            yield Hazard(rule="weights.bomb", message="zip whose members overlap")
            break
        if begin - position > (_DESCRIPTOR if position else 0):
            message = f"{begin - position} bytes outside the zip's members, at byte {position}"
            yield Hazard(rule="weights.polyglot", message=message)
            break
        position = _data_offset(window, entry) + entry.compress_size
    comment = int.from_bytes(window.read(end + 20, 2), "little")
    after = window.size - (end + 22 + comment)
    if after:
        yield Hazard(rule="weights.polyglot", message=f"{abs(after)} bytes after the zip's end")
    packed = sum(entry.compress_size for entry in entries) + directory
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > _BOMB_FROM and unpacked > inflation.RATIO_LIMIT * packed:
        yield Hazard(
            rule="weights.bomb", message=f"zip of {packed} bytes unfolds into {unpacked} bytes"
        )


def _kind(names: set[str]) -> Iterator[Hazard]:
    """Archives of a framework are known by the names that its loader asks for."""
    bases = {name.rpartition("/")[2] for name in names}
    code = any("/code/" in f"/{name}" and name.endswith(".py") for name in names)
    if "constants.pkl" in bases or code:
        message = "TorchScript archive: its methods run when it is used"
        yield Hazard(rule="weights.torchscript", message=message)
    if "config.json" in names and any(name.endswith(".h5") for name in names):
        message = "Keras archive: its layers can hold Python bytecode"
        yield Hazard(rule="weights.keras", message=message)


def _data_offset(window: Window, entry: "ZipInfo") -> int:
    """Return where the member's bytes begin, as its own header has it."""
    header = window.read(entry.header_offset, 30).ljust(30, b"\0")
    name, extra = struct.unpack("<HH", header[26:30])
    return entry.header_offset + 30 + int(name) + int(extra)


def _member(window: Window, entry: "ZipInfo", look: Look, budget: Budget) -> Iterator[Hazard]:
    name = entry.filename
    header = window.read(entry.header_offset, 30)
    if header[:4] != _LOCAL or header[8:10] != entry.compress_type.to_bytes(2, "little"):
        message = f"member {quoted(name)}: its header is not what the directory says"
        yield Hazard(rule="weights.polyglot", message=message)
        return
    if entry.flag_bits & _ENCRYPTED or entry.compress_type not in (_STORED, _DEFLATED):
        message = f"member {quoted(name)}: cannot be looked into (encrypted, or a rare method)"
        yield Hazard(rule="weights.opaque", message=message)
        return
    packed = window.part(_data_offset(window, entry), entry.compress_size)
    if packed.cut:
        message = f"member {quoted(name)}: reaches beyond the end of the file"
        yield Hazard(rule="weights.opaque", message=message)
    elif entry.compress_type == _STORED:
        yield from of_member(name, look(packed, name))
    else:
        yield from of_member(name, inside(packed, "deflate", name, look, budget))


def inside(packed: Window, kind: str, name: str, look: Look, budget: Budget) -> Iterator[Hazard]:
    """Yield the hazards of what is compressed in `packed`; archives are unfolded further."""
    inflated = inflation.inflate(packed, kind, HEAD_OUTPUT)
    budget.spend(output=len(inflated.data))
    if inflated.cut and not inflated.damaged:
        inflated = inflation.inflate(packed, kind, inflation.RATIO_FROM)
        budget.spend(output=len(inflated.data))
    if inflated.cut and _needs_all(inflated.data):
        inflated = inflation.inflate(packed, kind, DEEP_OUTPUT)
        budget.spend(output=len(inflated.data))
        if inflated.cut:
            message = f"{kind} data of more than {DEEP_OUTPUT >> 20} MiB that must be seen whole"
            yield Hazard(rule="weights.opaque", message=message)
    if inflated.bomb:
        message = f"{kind} data that unfolds more than {inflation.RATIO_LIMIT} times"
        yield Hazard(rule="weights.bomb", message=message)
    if inflated.damaged:
        yield Hazard(rule="weights.opaque", message=f"{kind} data that is damaged")
    if inflated.trailing:
        message = f"{inflated.trailing} bytes after the end of the {kind} data"
        yield Hazard(rule="weights.polyglot", message=message)
    yield from look(of_bytes(inflated.data, cut=inflated.cut), name)


def _needs_all(head: bytes) -> bool:
    magics = (b"PK", b"\x1f\x8b", b"BZh", b"\xfd7zXZ")
    return head.startswith(magics) or is_tar(head)


def tar_hazards(window: Window, look: Look, budget: Budget) -> Iterator[Hazard]:
    """Yield the hazards of the members of a tar; sizes from pax headers count (POSIX pax)."""
    position, stated = 0, -1
    while position + _BLOCK <= window.size:
        block = window.read(position, _BLOCK)
        if not block.strip(b"\0"):
            break
        if not is_tar(block):
            message = f"tar whose header at byte {position} is damaged"
            yield Hazard(rule="weights.opaque", message=message)
            return
        budget.spend(members=1)
        kind, size = block[156:157], _tar_number(block[124:136])
        if stated >= 0 and kind not in b"xgLK":
            size, stated = stated, -1
        body = window.part(position + _BLOCK, size)
        position += _BLOCK + -(-size // _BLOCK) * _BLOCK
        if kind == b"x":
            stated = _pax_size(body.read(0, _PAX_LIMIT))
        elif kind == b"S":
            yield Hazard(rule="weights.opaque", message="tar with sparse members")
        elif kind not in b"gLK12345" and size:
            name = block[:100].partition(b"\0")[0].decode("utf-8", "replace")
            yield from of_member(name, look(body, name))
    rest = window.read(position, _BLOCK * 64)
    if rest.strip(b"\0"):
        yield Hazard(rule="weights.polyglot", message=f"bytes after the tar's end, at {position}")


def _tar_number(digits: bytes) -> int:
    """Return an octal or, with the top bit set, a binary number (GNU); nonsense is 0."""
    if digits[0] & 0x80:
        return int.from_bytes(digits, "big") & ((1 << 88) - 1)
    try:
        return max(0, int(digits.strip(b" \0") or b"0", 8))
    except ValueError:
        return 0


def _pax_size(records: bytes) -> int:
    """Return the size that a pax header states for the next member, or -1."""
    size = -1
    for record in records.split(b"\n"):
        key, _, value = record.partition(b" ")[2].partition(b"=")
        if key == b"size" and value.isdigit() and len(value) < 20:  # noqa: PLR2004  64 bits
            size = int(value)
    return size
