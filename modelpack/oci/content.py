"""Contents streamed in blocks: read once, hashed and written at the same time, in little memory.

A pump fills blocks from pieces and hands every block to all sinks, each of which runs in a thread
of its own, so that hashing never waits for the disk and one file can use several cores.
"""

import mmap
import os
import stat
import threading
from collections.abc import Iterable, Iterator, Sequence
from queue import SimpleQueue

from modelpack.errors import InputError, Unavailable
from modelpack.oci.hashing import Sink
from modelpack.oci.tar import Content, FileRange, size_of
from modelpack.progress import Advance

BLOCK = 4 << 20
"bytes of a block: what one direct write carries; a multiple of every disk's sector"
_BLOCKS = 3
"blocks of a pump in flight: one being read and two on their way through the sinks"
_READ = 256 << 10
"bytes read at once: what was read is still in the processor's cache when it is hashed"
_CACHED = 256 << 10
"bytes of a block that only one sink takes: it stays in the processor's cache"
_INLINE = 1 << 20
"contents up to this size are not worth a thread"


def total(pieces: Iterable[Content]) -> int:
    """Return how many bytes `pieces` hold."""
    return sum(size_of(piece) for piece in pieces)


def pump(pieces: Sequence[Content], sinks: Sequence[Sink], advance: Advance) -> int:
    """Read `pieces` once and hand every block to all `sinks`; return the number of bytes.

    The first sink runs in this thread. Raises InputError when a file changes while it is read,
    Unavailable when it cannot be read, and what a sink raises.
    """
    size = total(pieces)
    depth = 1 if size <= _INLINE or len(sinks) == 1 else _BLOCKS
    most = _CACHED if len(sinks) == 1 else BLOCK
    length = min(most, -(-max(size, 1) // mmap.PAGESIZE) * mmap.PAGESIZE)
    # Anonymous maps are aligned to pages, as direct writing demands.
    buffers = [mmap.mmap(-1, length) for _ in range(depth)]
    reader = _Reader(pieces)
    try:
        if depth == 1:
            whole = memoryview(buffers[0])
            while block := reader.fill(whole, sinks[:1]):
                for sink in sinks[1:]:
                    sink.take(block, reader.position - len(block))
                advance(len(block))
        else:
            _fan_out(reader, sinks, buffers, advance)
    finally:
        reader.abandon()
    return reader.position


def blocks(pieces: Iterable[Content], length: int) -> Iterator[bytes]:
    """Yield the content of `pieces` in blocks of `length` bytes, the last one shorter."""
    return map(bytes, views(pieces, length))


def views(pieces: Iterable[Content], length: int) -> Iterator[memoryview]:
    """Yield blocks as `blocks` does, each of which is overwritten by the next."""
    reader = _Reader(pieces)
    buffer = memoryview(mmap.mmap(-1, length))
    try:
        while block := reader.fill(buffer, ()):
            yield block
    finally:
        reader.abandon()


def _fan_out(
    reader: "_Reader", sinks: Sequence[Sink], buffers: Sequence[mmap.mmap], advance: Advance
) -> None:
    """Run every sink but the first in a thread; a block is free again when all have used it."""
    free: SimpleQueue[memoryview] = SimpleQueue()
    for buffer in buffers:
        free.put(memoryview(buffer))
    lanes = [_Lane(sink) for sink in sinks[1:]]
    try:
        for lane in lanes:
            lane.start()
        while not any(lane.error for lane in lanes):
            whole = free.get()
            block = reader.fill(whole, sinks[:1])
            if not block:
                break
            advance(len(block))
            done = _Countdown(len(lanes), whole, free)
            for lane in lanes:
                lane.queue.put((block, reader.position - len(block), done))
    finally:
        for lane in lanes:
            lane.queue.put(None)
        for lane in lanes:
            if lane.ident is not None:
                lane.join()
    for lane in lanes:
        if lane.error:
            raise lane.error


class _Countdown:
    """Gives a buffer back when the last of several threads is done with it."""

    def __init__(self, count: int, buffer: memoryview, free: "SimpleQueue[memoryview]") -> None:
        self._left, self._buffer, self._free = count, buffer, free
        self._lock = threading.Lock()

    def done(self) -> None:
        with self._lock:
            self._left -= 1
            if not self._left:
                self._free.put(self._buffer)


class _Lane(threading.Thread):
    """The thread of one sink; after an error it lets blocks pass, so that nobody waits for it."""

    def __init__(self, sink: Sink) -> None:
        super().__init__(daemon=True)
        self._sink = sink
        self.queue: SimpleQueue[tuple[memoryview, int, _Countdown] | None] = SimpleQueue()
        self.error: BaseException | None = None

    def run(self) -> None:
        while (item := self.queue.get()) is not None:
            block, position, countdown = item
            try:
                if self.error is None:
                    self._sink.take(block, position)
            except BaseException as error:  # noqa: BLE001  raised again by the pump
                self.error = error
            finally:
                countdown.done()


class _Reader:
    """Fills buffers from pieces, one file open at a time, and notices a file that changes."""

    def __init__(self, pieces: Iterable[Content]) -> None:
        self._pieces = iter(pieces)
        self._piece: Content = b""
        self._at = 0
        self._file = -1
        self._status: os.stat_result | None = None
        self.position = 0

    def fill(self, buffer: memoryview, sinks: Sequence[Sink]) -> memoryview:
        """Return `buffer` filled as far as there is content; `sinks` take it as it comes."""
        filled = 0
        while filled < len(buffer):
            count = self._read(buffer[filled : filled + _READ])
            if not count:
                break
            for sink in sinks:
                sink.take(buffer[filled : filled + count], self.position)
            filled += count
            self.position += count
        return buffer[:filled]

    def _read(self, buffer: memoryview) -> int:
        """Fill `buffer` with the next bytes of the content; 0 at its end."""
        filled = 0
        while filled < len(buffer):
            left = size_of(self._piece) - self._at
            if not left:
                self._close()
                piece = next(self._pieces, None)
                if piece is None:
                    break
                self._piece, self._at = piece, 0
                continue
            part = buffer[filled : filled + left]
            if isinstance(self._piece, FileRange):
                count = self._read_file(self._piece, part)
            else:
                count = len(part)
                part[:] = self._piece[self._at : self._at + count]
            self._at += count
            filled += count
        return filled

    def _read_file(self, piece: FileRange, buffer: memoryview) -> int:
        if self._file < 0:
            self._file, self._status = open_file(piece)
        try:
            count = os.preadv(self._file, [buffer], piece.offset + self._at)
        except OSError as error:
            raise _unreadable(piece.path, error) from error
        if not count:
            raise changed(piece.path)
        return count

    def _close(self) -> None:
        if self._file < 0:
            return
        file, self._file = self._file, -1
        try:
            after = os.fstat(file)
        finally:
            os.close(file)
        if (
            isinstance(self._piece, FileRange)
            and self._status is not None
            and (identity(after) != identity(self._status))
        ):
            raise changed(self._piece.path)

    def abandon(self) -> None:
        """Close what is open, without a look at it: the end, or an error that is told already."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def open_file(piece: FileRange) -> tuple[int, os.stat_result]:
    """Open a regular file that holds at least `piece`, without ever blocking on another kind."""
    try:
        file = os.open(piece.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _unreadable(piece.path, error) from error
    status = os.fstat(file)
    if not stat.S_ISREG(status.st_mode) or status.st_size < piece.offset + piece.size:
        os.close(file)
        raise changed(piece.path)
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(file, piece.offset, piece.size, os.POSIX_FADV_SEQUENTIAL)
    return file, status


def status_of(path: str) -> os.stat_result:
    """Return the status of what stands at `path`, or raise Unavailable."""
    try:
        return os.lstat(path)
    except OSError as error:
        raise _unreadable(path, error) from error


def identity(status: os.stat_result) -> tuple[int, int, int, int, int]:
    """Return what stays equal as long as a file is not written: see `inputs.file_digests`."""
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def changed(path: str) -> InputError:
    """Return the error for a file that is not what it was a moment ago."""
    return InputError("the file changed while it was read", at=path, hint="run the build again")


def _unreadable(path: str, error: OSError) -> Unavailable:
    return Unavailable(f"cannot be read: {error.strerror}", at=path)
