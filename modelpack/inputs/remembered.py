"""JSON values by the digest of what they were made from, kept in the cache."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from modelpack import canonical_json
from modelpack.digest import Digest, hex_of

CONTENTS_VERSION = 2
"""of what `layer_contents` reads of a layer: counts up when that is more, so that what was
remembered does not stand"""
_SIZE_LIMIT = 64 << 20


class Remembered:
    """Values under `root`, one small file each; an entry that cannot be read is none.

    Nothing here ever raises for the state of the disk.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def get(self, key: Digest) -> Any | None:  # noqa: ANN401  any JSON value
        """Return the value that was kept under `key`, or None."""
        try:
            with open(self._root / f"{hex_of(key)}.json", "rb") as stream:
                size = os.fstat(stream.fileno()).st_size
                return json.loads(stream.read(min(size, _SIZE_LIMIT)))
        except (OSError, ValueError, RecursionError):
            return None

    def keep(self, key: Digest, value: Any) -> None:  # noqa: ANN401  any JSON value
        """Keep `value` under `key`."""
        path = self._root / f"{hex_of(key)}.json"
        # One name for all writers: what a killed one leaves is used up, and two at once at worst
        # make an entry that does not parse.
        temporary = path.with_suffix(".partial")
        with suppress(OSError):
            self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary.write_bytes(canonical_json.dumps(value))
            os.rename(temporary, path)
