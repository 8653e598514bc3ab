"""Where the regular files of somebody's tar are: names, offsets and sizes, links followed."""

import posixpath
from dataclasses import dataclass
from typing import BinaryIO

from modelpack.oci.tar_reading import Header, headers

_LINK_LIMIT = 8
"links followed for one name"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A regular file in a tar: `size` bytes from `offset` on."""

    offset: int
    size: int


Found = Member | str
"a file, or the name that a link points to"


def members(stream: BinaryIO, *, at: str) -> dict[str, Member]:
    """Return the regular files of the tar in `stream` by normal path; links to them included.

    The last one of several with one name counts, as when unpacking. Raises InputError when it is
    damaged.
    """
    found: dict[str, Found] = {}
    for header in headers(stream, at=at):
        note(found, header)
    return resolved(found)


def note(found: dict[str, Found], header: Header) -> None:
    """Put a member into `found` as unpacking would: a later one replaces an earlier one."""
    name = posixpath.normpath(header.name)
    if header.is_file:
        found[name] = Member(offset=header.offset, size=header.size)
    elif header.flag == b"1":
        found[name] = posixpath.normpath(header.target)
    elif header.flag == b"2":
        found[name] = posixpath.normpath(posixpath.join(posixpath.dirname(name), header.target))
    else:
        found.pop(name, None)


def resolved(found: dict[str, Found]) -> dict[str, Member]:
    """Replace links, which old `docker save` writes for equal layers, by what they point to."""
    files: dict[str, Member] = {}
    for name, first in found.items():
        item: Found | None = first
        for _ in range(_LINK_LIMIT):
            if not isinstance(item, str):
                break
            item = found.get(item)
        if isinstance(item, Member):
            files[name] = item
    return files
