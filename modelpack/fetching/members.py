"""Which weight files an image or artifact holds, and where each lies in which of its blobs.

The seam for other formats: a Reader returns the files of what it knows, None for all else.
"""

from typing import Final

from modelpack.errors import InputError
from modelpack.fetching.artifact import of_artifact
from modelpack.fetching.member import Member, Reader, Shelf
from modelpack.fetching.modelpack_image import of_modelpack
from modelpack.oci.layer import Descriptor

_READERS: Final[tuple[Reader, ...]] = (of_modelpack, of_artifact)


def members(shelf: Shelf, root: Descriptor, *, name: str) -> tuple[Member, ...]:
    """Return the weight files of whatever `root` is; raise InputError where nobody knows it."""
    for reader in _READERS:
        found = reader(shelf, root, name)
        if found is not None:
            return found
    raise InputError(
        "neither an image made by modelpack nor an artifact whose weights are known here",
        at=root.digest, hint="modelpack inspect shows what it is",
    )  # fmt: skip
