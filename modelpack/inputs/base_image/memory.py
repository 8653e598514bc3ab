"""What was found in a base, by the digest of its manifest: nobody looks twice into one image."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from modelpack.digest import Digest, hex_of
from modelpack.inputs.base_image import contents
from modelpack.inputs.base_image.contents import Contents

_LIMIT = 16 << 20


def find(cache: Path, image: Digest) -> Contents | None:
    """Return what was found in `image`; None where nobody looked, or not as we do now."""
    try:
        path = _path(cache, image)
        return contents.parse(path.read_bytes()) if path.stat().st_size <= _LIMIT else None
    except OSError:
        return None


def keep(cache: Path, image: Digest, found: Contents) -> None:
    """Remember what was found; a cache that cannot be written forgets."""
    path = _path(cache, image)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(prefix=".part-", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(contents.dump(found))
            os.replace(name, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(name)
            raise


def _path(cache: Path, image: Digest) -> Path:
    return cache / "bases" / f"{hex_of(image)}.json"
