"""What long work tells the person who waits; silent unless somebody listens."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Advance = Callable[[int], None]
"called with the number of bytes (or items) done since the last call; safe from any thread"


class Progress(Protocol):
    """A listener to long work."""

    def say(self, message: str) -> None:
        """Tell that a stage begins or what was decided."""

    def task(self, label: str, total: int) -> AbstractContextManager[Advance]:
        """Return a context whose value is the Advance of a task of `total` bytes."""


class Silent:
    """Listens to nothing."""

    def say(self, message: str) -> None:
        """Ignore `message`."""

    @contextmanager
    def task(self, label: str, total: int) -> Iterator[Advance]:  # noqa: ARG002
        """Yield an Advance that does nothing."""
        yield lambda _: None


SILENT: Progress = Silent()
