"""The one way to open a file from outside: regular files only, so that nothing hangs."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from modelpack.errors import InputError

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFLNK: "a symbolic link",
}


def open_regular(path: Path, *, at: str = "") -> BinaryIO:
    """Open the regular file that `path` leads to, for reading without a buffer.

    Symbolic links are resolved first (who lists files decides which links are welcome); what is
    found is looked at before it is opened, opened without following or waiting, and looked at
    again. Raises InputError for anything else than a readable regular file.
    """
    at = at or str(path)
    try:
        real = os.path.realpath(path, strict=True)
        _expect_regular(os.lstat(real).st_mode, at)
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
        descriptor = os.open(real, flags)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a path"
        raise InputError(f"cannot be read: {reason}", at=at) from None
    try:
        _expect_regular(os.fstat(descriptor).st_mode, at)
        return os.fdopen(descriptor, "rb", buffering=0)
    except BaseException:
        os.close(descriptor)
        raise


def _expect_regular(mode: int, at: str) -> None:
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        raise InputError(f"expected a regular file, found {kind}", at=at)
