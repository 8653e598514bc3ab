"""Layers compressed in parallel into bytes that depend on a named library and nothing else."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO, Literal

from modelpack.digest import Digest
from modelpack.lock import Compressor
from modelpack.oci.tar import Content


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
    """Write `pieces` to `out` as members of `compressor.member` bytes of input each."""
    raise NotImplementedError


def current(name: Literal["gzip", "zstd"]) -> Compressor:
    """Return the Compressor that is installed here."""
    raise NotImplementedError


def require(compressor: Compressor) -> None:
    """Raise Unavailable unless exactly `compressor` is installed here."""
    raise NotImplementedError
