"""Digests of files that did not change since they were hashed, kept in the cache."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from modelpack.digest import Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDigest:
    """What hashing a file told."""

    sha256: str
    chunks: tuple[str, ...] = ()
    "of lock.CHUNK bytes each; empty: not taken"
    layers: Mapping[str, Digest] = field(default_factory=dict)
    "digest of the layer that holds just this file, by its path in the image"


class FileDigests:
    """FileDigests by (device, inode, size, mtime, ctime); also a KnownDigests for a Layout."""

    def __init__(self, root: Path) -> None: ...

    def get(self, status: os.stat_result) -> FileDigest | None: ...

    def record(self, status: os.stat_result, value: FileDigest, *, ours: bool = False) -> None: ...

    def digest_at(self, path: str) -> Digest | None: ...

    def keep(self, path: str, digest: Digest) -> None: ...

    def derived(self, key: bytes) -> Digest | None: ...

    def record_derived(self, key: bytes, digest: Digest) -> None: ...
