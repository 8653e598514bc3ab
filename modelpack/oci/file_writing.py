"""One new file from pieces: cloned where the file system can, else direct, else buffered writes.

The sinks always see what the file holds. A copy is hashed from the very buffers that are written.
A clone is hashed through its source, which the page cache may hold, as long as the source proves
that it was not written since; else the clone itself is read.
"""

import errno
import fcntl
import os
import stat
import struct
import sys
from collections.abc import Mapping, Sequence

from modelpack.errors import Unavailable
from modelpack.oci.content import blocks, changed, identity, open_file, pump, status_of, total
from modelpack.oci.hashing import Sink
from modelpack.oci.tar import Content, FileRange, size_of
from modelpack.progress import Advance

_SECTOR = 4096
"what offsets and lengths of clones and direct writes are multiples of, on every common disk"
WORTH_CLONING = 1 << 20
"bytes from which on copying is avoided where it can be"
_WORTH_DIRECT = 8 << 20
"bytes; below, the page cache is as fast"
_YOUNG = 2_000_000_000
"nanoseconds: more than the tick of any file system's clock"
_FICLONERANGE = 0x4020940D
"linux/fs.h; `fcntl` names it from Python 3.14 on"
_CANNOT_CLONE = frozenset(
    {
        errno.EOPNOTSUPP,
        errno.ENOTTY,
        errno.EXDEV,
        errno.EINVAL,
        errno.ENOSYS,
        errno.EPERM,
        errno.EACCES,
        errno.EBADF,
        errno.ETXTBSY,
    }
)


def write_file(
    path: str,
    pieces: Sequence[Content],
    sinks: Sequence[Sink],
    advance: Advance,
) -> int:
    """Create `path` from `pieces`, let `sinks` take its content, and return its size.

    Raises InputError when a source changes, Unavailable when reading or writing fails; then
    nothing is left at `path`.
    """
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        return fill_file(file, path, pieces, sinks, advance)
    except BaseException:
        os.unlink(path)
        raise
    finally:
        os.close(file)


def share_file(path: str, source: FileRange, mode: int, advance: Advance) -> bool:
    """Create `path` with the content of a whole file and `mode`; tell whether it cost no copy.

    The disk blocks are shared where the file system can; else a large file gets a second name,
    if its mode is `mode` already. Raises as `write_file` does.
    """
    status = status_of(source.path)
    if status.st_size != source.size:
        raise changed(source.path)
    if source.size >= WORTH_CLONING:
        fits = stat.S_IMODE(status.st_mode) == mode
        if _cloned(path, source, mode) or (fits and _linked(path, source.path)):
            advance(source.size)
            return True
    write_file(path, (source,), (), advance)
    os.chmod(path, mode)
    return False


def _cloned(path: str, source: FileRange, mode: int) -> bool:
    """Create `path` as a clone of a whole file; False, and nothing is there, where it cannot be."""
    if sys.platform != "linux":
        return False
    file, cloned = -1, False
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        # Length 0: to the end of the source, which need not be the end of a block.
        if _clone(file, source, 0, 0):
            os.fchmod(file, mode)
            cloned = os.fstat(file).st_size == source.size
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        if file >= 0:
            os.close(file)
            if not cloned:
                os.unlink(path)
    return cloned


def _linked(path: str, source: str) -> bool:
    try:
        os.link(source, path, follow_symlinks=False)
    except OSError:
        return False  # another file system, or one that has no such links
    return True


def fill_file(
    file: int, path: str, pieces: Sequence[Content], sinks: Sequence[Sink], advance: Advance
) -> int:
    """Make `pieces` the whole content of the open `file` at `path`: see `write_file`."""
    size = total(pieces)
    try:
        os.ftruncate(file, 0)
        cloned = _clone_all(file, pieces)
        if cloned is not None:
            _read_clone(FileRange(path=path, size=size), pieces, cloned, sinks, advance)
        else:
            pump(pieces, [*sinks, _Writer(file, size)], advance)
            os.ftruncate(file, size)
    except OSError as error:
        raise unwritable(path, error) from error
    return size


def unwritable(path: str, error: OSError) -> Unavailable:
    """Return the error for a file that cannot be written."""
    hint = "free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
    return Unavailable(f"cannot be written: {error.strerror}", at=path, hint=hint)


class _Writer:
    """A Sink that writes blocks past the page cache where the file system allows it."""

    def __init__(self, file: int, size: int) -> None:
        self._file = file
        self._direct = size >= _WORTH_DIRECT and self._set_direct(on=True)

    def take(self, block: memoryview, position: int) -> None:
        """Write `block`; the last one is filled up to a sector and cut off by the caller."""
        if self._direct and len(block) % _SECTOR:
            length = len(block)
            block = memoryview(block.obj)[: length + -length % _SECTOR]
            block[length:] = bytes(-length % _SECTOR)
        while block:
            try:
                count = os.pwrite(self._file, block, position)
            except OSError as error:
                if error.errno != errno.EINVAL or not self._direct:
                    raise
                self._direct = self._set_direct(on=False)
                continue
            block, position = block[count:], position + count

    def _set_direct(self, *, on: bool) -> bool:
        """Switch direct writing on or off; return whether it is on."""
        direct: int = getattr(os, "O_DIRECT", 0)
        try:
            flags = fcntl.fcntl(self._file, fcntl.F_GETFL)
            fcntl.fcntl(self._file, fcntl.F_SETFL, flags | direct if on else flags & ~direct)
        except OSError:
            return False
        return on and bool(direct)


def _read_clone(
    clone: FileRange,
    pieces: Sequence[Content],
    cloned: Mapping[str, os.stat_result],
    sinks: Sequence[Sink],
    advance: Advance,
) -> None:
    """Let `sinks` take what `clone` holds: from its sources where they cannot have changed.

    Cloning flushes a source and makes every later write to it, through a mapping too, set its
    times. Equal times before the clone and after the reading prove that nothing was written, if
    they were old enough that a second write could not fall into the same tick.
    """
    now = os.stat(clone.path).st_mtime_ns
    old = all(max(s.st_mtime_ns, s.st_ctime_ns) + _YOUNG < now for s in cloned.values())
    if not old:
        pump((clone,), sinks, advance)
        return
    pump(pieces, sinks, advance)
    for path, before in cloned.items():
        if identity(status_of(path)) != identity(before):
            raise changed(path)


def _clone_all(file: int, pieces: Sequence[Content]) -> dict[str, os.stat_result] | None:
    """Make `file` from `pieces`, sharing the disk blocks of the large ones; None: impossible.

    Returns the status that every source had before.
    """
    if sys.platform != "linux" or not _has_clonable(pieces):
        return None
    position = 0
    cloned: dict[str, os.stat_result] = {}
    for piece in pieces:
        rest: Content = piece
        if isinstance(piece, FileRange):
            cloned.setdefault(piece.path, status_of(piece.path))
            if _clonable(piece, position):
                whole = piece.size // _SECTOR * _SECTOR
                if not _clone(file, piece, whole, position):
                    os.ftruncate(file, 0)
                    return None
                rest = FileRange(
                    path=piece.path, offset=piece.offset + whole, size=piece.size - whole
                )
                position += whole
        for block in blocks((rest,), WORTH_CLONING):
            _write(file, block, position)
            position += len(block)
    return cloned


def _has_clonable(pieces: Sequence[Content]) -> bool:
    position = 0
    for piece in pieces:
        if isinstance(piece, FileRange) and _clonable(piece, position):
            return True
        position += size_of(piece)
    return False


def _clonable(piece: FileRange, position: int) -> bool:
    aligned = position % _SECTOR == 0 and piece.offset % _SECTOR == 0
    return aligned and piece.size >= WORTH_CLONING


def _clone(file: int, piece: FileRange, length: int, position: int) -> bool:
    """Share `length` bytes of `piece` with `file` at `position` (ioctl_ficlonerange(2))."""
    source, _ = open_file(piece)
    try:
        fcntl.ioctl(
            file, _FICLONERANGE, struct.pack("qQQQ", source, piece.offset, length, position)
        )
    except OSError as error:
        if error.errno not in _CANNOT_CLONE:
            raise
        return False
    finally:
        os.close(source)
    return True


def _write(file: int, data: bytes, position: int) -> None:
    view = memoryview(data)
    while view:
        count = os.pwrite(file, view, position)
        view, position = view[count:], position + count
