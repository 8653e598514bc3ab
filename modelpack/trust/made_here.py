"""Which statements this machine made itself: what `sign` may sign, and nothing else.

A record is an empty file in the user's own cache, named by the digest of a statement's text. A
statement that was downloaded has none, wherever it lies now.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from modelpack.digest import Digest, hex_of
from modelpack.errors import Unavailable

FOLDER: Final = "statements"
"below the cache"


class MadeHere:
    """The records of one cache."""

    def __init__(self, cache: Path, *, also: Iterable[Digest] = ()) -> None:
        """`also` are statements that somebody vouches for, such as those of a build record."""
        self._folder = cache / FOLDER
        self._also = frozenset(also)

    def keep(self, statements: Iterable[Digest]) -> None:
        """Record that `statements` are made here, now."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            for digest in statements:
                path = self._folder / hex_of(digest)
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600))
                os.utime(path)
        except OSError as error:
            raise Unavailable(
                f"cannot record what was made here: {error.strerror}", at=str(self._folder)
            ) from error

    def since(self, statement: Digest) -> float | None:
        """Return when `statement` was last made here, in seconds; None: never, as far as known."""
        try:
            found = os.lstat(self._folder / hex_of(statement)).st_mtime
        except OSError:
            return 0.0 if statement in self._also else None
        return found
