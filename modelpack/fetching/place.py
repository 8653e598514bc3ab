"""What a place of weights can do: say which files it has, and send what is missing of one."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from modelpack.errors import Refused
from modelpack.oci.layer import Partial
from modelpack.oci.manifest import printable
from modelpack.progress import Advance

Wanted = Callable[[str], bool]
"tells whether a file is to be packed, by its path below the source"
HINT_MOVED = "modelpack lock --upgrade weights"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """A file at a place."""

    path: str
    "below the source, with `/`"
    size: int
    version: str = ""
    etag: str = ""
    sha256: str = ""
    "what the place says: saves a download where such a file is here, and proves nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The wanted files of a place, as it has them now."""

    files: tuple[RemoteFile, ...]
    revision: str = ""
    "of all of them together: a commit, the digest of an image"
    single: bool = False
    "the source is this one file, and no folder"


class Place(Protocol):
    """Where weights live; used by several threads at once."""

    @property
    def identity(self) -> str:
        """What its contents are remembered under, with the server that was asked."""

    def listing(self, wanted: Wanted) -> Listing:
        """Return the files that are `wanted`, in any order, with names as the place says them.

        Raises InputError when there is no such source, Unavailable when it cannot be asked.
        """

    def fill(self, into: Partial, file: RemoteFile, advance: Advance) -> None:
        """Write what is missing of `file` to `into`, unchecked, beginning where it ends.

        Raises Refused when the place has another content by now, Unavailable when it cannot send.
        """


def legible(text: str) -> str:
    """Return what a place calls a version, if it is fit for a lock; else nothing."""
    return text if re.fullmatch(r"[\x20-\x7e]{1,1024}", text) else ""


def told(error: Exception) -> str:
    """Return what a client of others says went wrong, fit for a message."""
    return printable(" ".join(str(error).split())) or type(error).__name__


def moved(what: str, *, at: str) -> Refused:
    """Return the error for a file that is no longer the one that was listed or locked."""
    return Refused(f"is not what it was at its source: {what}", at=at, hint=HINT_MOVED)
