"""Layers compressed in parallel into bytes that depend on a named library and nothing else.

gzip is a row of independent members (RFC 1952, section 2.2), zstd a row of frames (RFC 8878,
section 3): every reader takes them as one stream, and each is made on its own.
"""

import hashlib
import importlib
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Literal

from modelpack.digest import Digest, of_hex
from modelpack.digest import of as digest_of
from modelpack.errors import Unavailable
from modelpack.lock import Compressor
from modelpack.oci.content import blocks
from modelpack.oci.tar import Content

if TYPE_CHECKING:
    from concurrent.futures import Future

_THREADS: Final = 6
"at most, so that the blocks in flight stay below 60 MB"
_DEFAULTS: Final = {
    "gzip": Compressor(name="gzip", package="deflate", version="", level=6, member=4 << 20),
    "zstd": Compressor(name="zstd", package="zstandard", version="", level=9, member=4 << 20),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Compressed:
    """What was written, and what it is uncompressed."""

    digest: Digest
    size: int
    diff_id: Digest
    uncompressed_size: int


def compress(
    pieces: Iterable[Content], compressor: Compressor, out: BinaryIO, *, threads: int
) -> Compressed:
    """Write `pieces` to `out` as members of `compressor.member` bytes of input each.

    The bytes do not depend on `threads`. Raises Unavailable when the library is not the locked
    one.
    """
    require(compressor)
    member = _member_of(compressor)
    stream = iter(blocks(pieces, compressor.member))
    first, second = next(stream, b""), next(stream, None)
    if second is None:
        return _write_one(first, member(first), out)
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415  not for an edit of code

    plain, packed = hashlib.sha256(), hashlib.sha256()
    size = uncompressed = 0
    limit = max(1, min(threads, _THREADS))
    waiting: deque[Future[bytes]] = deque()

    def write_first() -> int:
        data = waiting.popleft().result()
        packed.update(data)
        out.write(data)
        return len(data)

    with ThreadPoolExecutor(max_workers=limit) as pool:
        for block in chain((first, second), stream):
            waiting.append(pool.submit(member, block))
            plain.update(block)
            uncompressed += len(block)
            if len(waiting) > limit:
                size += write_first()
        while waiting:
            size += write_first()
    return Compressed(
        digest=of_hex(packed.hexdigest()),
        size=size,
        diff_id=of_hex(plain.hexdigest()),
        uncompressed_size=uncompressed,
    )


def _write_one(plain: bytes, packed: bytes, out: BinaryIO) -> Compressed:
    """Write content that is one member, as that of most code is."""
    out.write(packed)
    return Compressed(
        digest=digest_of(packed), size=len(packed),
        diff_id=digest_of(plain), uncompressed_size=len(plain),
    )  # fmt: skip


def current(name: Literal["gzip", "zstd"]) -> Compressor:
    """Return the Compressor that is installed here, or raise Unavailable."""
    default = _DEFAULTS[name]
    return replace(default, version=_library(default).__version__)


def require(compressor: Compressor) -> None:
    """Raise Unavailable unless exactly the library of `compressor` is installed here."""
    installed = _library(compressor).__version__
    if installed != compressor.version:
        wanted = f"{compressor.package}=={compressor.version}"
        raise Unavailable(
            f"the lock compresses with `{wanted}`, but {installed} is installed",
            at="compressor",
            hint=f"pip install '{wanted}', or modelpack lock --upgrade base",
        )


def _library(compressor: Compressor) -> Any:  # noqa: ANN401  a module
    """Import the library late: everyday commands compress nothing."""
    default = _DEFAULTS.get(compressor.name)
    if default is None or default.package != compressor.package:
        raise Unavailable(
            f"the compressor `{compressor.name}` of `{compressor.package}` is not known",
            at="compressor",
            hint="use a newer modelpack",
        )
    try:
        return importlib.import_module(default.package)
    except ImportError as error:
        extra = "[zstd]" if default.name == "zstd" else ""
        raise Unavailable(
            f"the Python package `{default.package}` is not installed",
            at="compressor",
            hint=f"pip install 'modelpack-build{extra}'",
        ) from error


def _member_of(compressor: Compressor) -> Callable[[bytes], bytes]:
    """Return what makes one member; it lets other threads run meanwhile."""
    library = _library(compressor)
    if compressor.name == "gzip":
        # libdeflate's header has no time, no name, and 255 (unknown) as operating system.
        return lambda block: bytes(library.gzip_compress(block, compressor.level))

    def frame(block: bytes) -> bytes:
        packer = library.ZstdCompressor(
            level=compressor.level, write_checksum=True, write_content_size=True
        )
        data: bytes = packer.compress(block)
        return data

    return frame
