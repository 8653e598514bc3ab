"""What takes a content block by block; most of it hashes, the whole or ranges of it."""

import hashlib
from collections.abc import Iterable
from typing import Protocol

from modelpack.digest import Digest, of_hex


class Sink(Protocol):
    """Takes the blocks of one content in order."""

    def take(self, block: memoryview, position: int) -> None:
        """Use `block`, which stands at `position` of the content and is overwritten later."""


class Sha256:
    """A Sink that hashes everything."""

    def __init__(self) -> None:
        self._running = hashlib.sha256(usedforsecurity=False)

    def take(self, block: memoryview, position: int) -> None:  # noqa: ARG002  in order by contract
        """Hash `block`."""
        self._running.update(block)

    @property
    def digest(self) -> Digest:
        """The digest of what was taken so far."""
        return of_hex(self._running.hexdigest())


class RangeSha256:
    """A Sink that hashes `size` bytes from `start` on, as a whole or in chunks of equal size."""

    def __init__(self, start: int, size: int, *, chunk: int = 0) -> None:
        self._start, self._stop = start, start + size
        self._chunk = chunk or max(size, 1)
        self._running = hashlib.sha256(usedforsecurity=False)
        self._hashed = 0
        self._finished: list[str] = []

    def take(self, block: memoryview, position: int) -> None:
        """Hash what of `block` lies in the range."""
        here = block[max(self._start - position, 0) : max(self._stop - position, 0)]
        while here:
            part = here[: self._chunk - self._hashed]
            self._running.update(part)
            self._hashed += len(part)
            here = here[len(part) :]
            if self._hashed == self._chunk:
                self._close()

    def _close(self) -> None:
        self._finished.append(self._running.hexdigest())
        self._running = hashlib.sha256(usedforsecurity=False)
        self._hashed = 0

    @property
    def digits(self) -> tuple[str, ...]:
        """The hexadecimal sha256 of every chunk; the one of nothing for an empty range."""
        rest = self._hashed or not self._finished
        return (*self._finished, self._running.hexdigest()) if rest else tuple(self._finished)


class RangesSha256:
    """A Sink that hashes several ranges, given as start and size, in order and not overlapping."""

    def __init__(self, ranges: Iterable[tuple[int, int]]) -> None:
        self._stops = [(start + size, RangeSha256(start, size)) for start, size in ranges]
        self._first = 0

    def take(self, block: memoryview, position: int) -> None:
        """Hash what of `block` lies in any range."""
        end = position + len(block)
        for index in range(self._first, len(self._stops)):
            stop, sink = self._stops[index]
            sink.take(block, position)
            if stop > end:
                return
            self._first = index + 1

    @property
    def digits(self) -> tuple[str, ...]:
        """The hexadecimal sha256 of every range."""
        return tuple(sink.digits[0] for _, sink in self._stops)
