"""Which repositories of a registry have a blob, as far as this machine saw: it is mounted then.

Source: OCI distribution-spec 1.1, "Mounting a blob from another repository". Nothing here is
relied on: a registry that has the blob no more, or lets nobody mount it, takes the bytes.
"""

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from modelpack.digest import Digest, hex_of
from modelpack.digest import of as digest_of

FOLDER: Final = "places"
"below the cache"
_BLOBS = 4096
"of one registry that are remembered, those seen last"
_REPOSITORIES = 3
"of one blob"
_LIMIT = 4 << 20


class Places:
    """What is remembered below one folder, a file for each registry; None: nothing is."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def of(self, host: str, digest: Digest) -> tuple[str, ...]:
        """Return the repositories of `host` that had the blob, the one seen last first."""
        return tuple(reversed(self._read(host).get(digest, ())))

    def keep(self, host: str, repository: str, digests: Iterable[Digest]) -> None:
        """Remember that `repository` has these blobs; a cache that cannot be written forgets."""
        if self._folder is None:
            return
        known = self._read(host)
        for digest in digests:
            others = [name for name in known.pop(digest, ()) if name != repository]
            known[digest] = [*others, repository][-_REPOSITORIES:]
        newest = dict(list(known.items())[-_BLOBS:])
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            import tempfile  # noqa: PLC0415  not where nothing is pushed

            handle, name = tempfile.mkstemp(prefix=".part-", dir=self._folder)  # mode 0600
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(json.dumps(newest).encode())
                os.replace(name, _path(self._folder, host))
            except BaseException:
                with suppress(OSError):
                    os.unlink(name)
                raise

    def _read(self, host: str) -> dict[str, list[str]]:
        """Return repositories by digest, in the order in which they were seen."""
        if self._folder is None:
            return {}
        try:
            with open(_path(self._folder, host), "rb") as stream:
                value = json.loads(stream.read(_LIMIT))
            return {
                str(digest): [str(name) for name in names] for digest, names in value.items()
            }  # fmt: skip
        except (OSError, ValueError, AttributeError, TypeError, RecursionError):
            return {}


def _path(folder: Path, host: str) -> Path:
    return folder / f"{hex_of(digest_of(host.encode()))}.json"
