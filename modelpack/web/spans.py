"""Parts of open files as bodies of requests: the system sends them where it can, nobody copies."""

import mmap
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_BLOCK = 256 << 10


class ShortFileError(OSError):
    """A file ends before the part that is to be sent."""


@dataclass(frozen=True, slots=True)
class Span:
    """`length` bytes of an open file from `start` on.

    Who cannot let the system send it, such as TLS, iterates: each block is overwritten by the
    next one.
    """

    file: BinaryIO
    start: int
    length: int

    def send_to(self, connection: socket.socket) -> None:
        """Send it; raises OSError."""
        if connection.sendfile(self.file, self.start, self.length) != self.length:
            raise ShortFileError("the file ends too early")

    def __iter__(self) -> Iterator[memoryview]:
        buffer = memoryview(mmap.mmap(-1, _BLOCK))
        position, left = self.start, self.length
        while left:
            count = os.preadv(self.file.fileno(), [buffer[:left]], position)
            if not count:
                raise ShortFileError("the file ends too early")
            yield buffer[:count]
            position, left = position + count, left - count
