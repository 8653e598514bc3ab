"""What a Store does with a Blob's origin: take its pieces, and check that they are what it says."""

from collections.abc import Sequence
from dataclasses import replace

from modelpack.digest import hex_of
from modelpack.errors import InputError, Unavailable
from modelpack.oci.content import blocks
from modelpack.oci.layer import Absent, Blob, Remote, StoredFile
from modelpack.oci.manifest import MANIFEST_LIMIT
from modelpack.oci.tar import Content, FileRange, size_of

_SHOWN = 5
"source files named in one message"


def nowhere(what: Absent, digest: str, others: str) -> Unavailable:
    """Return the error for content that is neither on this machine nor with `others`."""
    if what.name:
        return Unavailable(
            f"`{what.name}` is not on this machine, {others}", at=digest,
            hint="bring the files there, or push to a repository that has them",
        )  # fmt: skip
    return Unavailable(f"the blob is known by digest only: nobody here has it, {others}", at=digest)


def pieces_of(blob: Blob) -> tuple[Content, ...]:
    """Return where the bytes of `blob` are, or raise Unavailable when nobody here has them."""
    if isinstance(blob.origin, Absent):
        raise nowhere(blob.origin, blob.digest, "nor in the place where it goes")
    if isinstance(blob.origin, Remote):
        raise Unavailable("the blob is not on this machine", at=blob.digest)
    if isinstance(blob.origin, StoredFile):
        return (FileRange(path=blob.origin.path, size=blob.size),)
    return blob.origin.pieces


def content_of(blob: Blob) -> bytes:
    """Return the bytes of a small blob (MANIFEST_LIMIT), checked."""
    if blob.size > MANIFEST_LIMIT:
        raise InputError(f"the blob is larger than {MANIFEST_LIMIT} bytes", at=blob.digest)
    return b"".join(blocks(pieces_of(blob), MANIFEST_LIMIT))


def part_of(pieces: Sequence[Content], start: int, length: int) -> tuple[Content, ...]:
    """Return `length` bytes of `pieces` from `start` on."""
    found: list[Content] = []
    for piece in pieces:
        size = size_of(piece)
        count = min(size - start, length)
        if count > 0:
            if isinstance(piece, bytes):
                found.append(piece[start : start + count])
            else:
                found.append(replace(piece, offset=piece.offset + start, size=count))
            length -= count
        start = max(start - size, 0)
    return tuple(found)


def check_content(blob: Blob, digits: str, size: int) -> None:
    """Raise InputError, naming the sources, unless what was read is what `blob` says."""
    if (digits, size) == (hex_of(blob.digest), blob.size):
        return
    paths = _paths(() if isinstance(blob.origin, Remote) else pieces_of(blob))
    shown = ", ".join(paths[:_SHOWN])
    if len(paths) > _SHOWN:
        shown += f" and {len(paths) - _SHOWN} more"
    raise InputError(
        f"the content is not what was recorded: it should make {blob.digest}, "
        f"and makes sha256:{digits}",
        at=shown or blob.digest,
    )


def _paths(pieces: Sequence[Content]) -> list[str]:
    return sorted({piece.path for piece in pieces if isinstance(piece, FileRange)})
