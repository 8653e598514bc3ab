"""Digests of files that did not change since they were hashed, kept in the cache.

One small file per entry, replaced by rename: safe under concurrent builds and SIGKILL, and
reading a few costs less than opening a database.
"""

import json
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from modelpack import canonical_json
from modelpack import digest as digests
from modelpack.digest import Digest, hex_of, of_hex
from modelpack.errors import Finding, InputError
from modelpack.oci.content import identity

_HEX = re.compile(r"[0-9a-f]{64}")
_YOUNG = 2_000_000_000
"nanoseconds: a file changed this recently may change again and keep its times"
_SIZE_LIMIT = 64 << 20
"bytes of one entry; a file of 1 TiB has 16384 chunks, about 1.2 MB"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDigest:
    """What hashing a file told."""

    sha256: str
    chunks: tuple[str, ...] = ()
    "of lock.CHUNK bytes each; empty: not taken"
    layers: Mapping[str, Digest] = field(default_factory=dict)
    "digest of the layer that holds just this file, by its path in the image"


class FileDigests:
    """FileDigests by (device, inode, size, mtime, ctime); also a KnownDigests for a Layout.

    An entry that cannot be read or written is as good as none: nothing here ever raises for the
    state of the disk. The clock is the cache's file system's: an entry's own time of writing.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        with suppress(OSError):
            root.mkdir(parents=True, exist_ok=True, mode=0o700)

    def get(self, status: os.stat_result) -> FileDigest | None:
        """Return what is known of the unchanged file with `status`, or None."""
        value = self._load(_inode_key(status))
        if value is None or value.get("identity") != list(identity(status)):
            return None
        try:
            return _parse(value)
        except (InputError, KeyError, TypeError, AttributeError):
            return None

    def record(self, status: os.stat_result, value: FileDigest, *, ours: bool = False) -> None:
        """Remember `value` for the file with `status`, together with what was known of it.

        A file younger than two seconds is not recorded, unless it is `ours`: just written by
        this process, in a place where nobody else writes.
        """
        known = self.get(status)
        if known and known.sha256 == value.sha256:
            layers = {**known.layers, **value.layers}
            value = FileDigest(
                sha256=value.sha256, chunks=value.chunks or known.chunks, layers=layers
            )
        newest = max(status.st_mtime_ns, status.st_ctime_ns)
        self._store(
            _inode_key(status),
            {
                "identity": list(identity(status)),
                "sha256": value.sha256,
                "chunks": list(value.chunks),
                "layers": dict(value.layers),
            },
            not_before=None if ours else newest + _YOUNG,
        )

    def digest_at(self, path: str) -> Digest | None:
        """Return the digest of the file at `path`, or None when it is not known."""
        try:
            known = self.get(os.lstat(path))
        except OSError:
            return None
        return of_hex(known.sha256) if known else None

    def proves(self, status: os.stat_result, digest: Digest) -> bool:
        """Tell whether the unchanged file with `status`, or a layer of just it, has `digest`."""
        known = self.get(status)
        return known is not None and digest in (of_hex(known.sha256), *known.layers.values())

    def keep(self, path: str, digest: Digest) -> None:
        """Remember the digest of a file that this process has just written itself."""
        try:
            status = os.lstat(path)
        except OSError:
            return
        self.record(status, FileDigest(sha256=hex_of(digest)), ours=True)

    def derived(self, key: Digest) -> Digest | None:
        """Return the digest of what is made from the inputs whose digest is `key`, or None."""
        value = self._load(hex_of(key))
        try:
            return digests.parse(value["derived"]) if value else None
        except (InputError, KeyError, TypeError):
            return None

    def record_derived(self, key: Digest, digest: Digest) -> None:
        """Remember that the inputs with digest `key` give `digest`."""
        self._store(hex_of(key), {"derived": digest}, not_before=None)

    def verdict(self, key: Digest) -> tuple[Finding, ...] | None:
        """Return the warnings with which what `key` names passed its gates; None: it never did."""
        value = self._load(hex_of(key))
        try:
            said = value["verdict"] if value else None
            return tuple(Finding(**one, severity="warning") for one in said) if (
                said is not None
            ) else None  # fmt: skip
        except (KeyError, TypeError):
            return None

    def record_verdict(self, key: Digest, warnings: Iterable[Finding]) -> None:
        """Remember that what `key` names passed its gates with these warnings."""
        said = [
            {"message": one.message, "at": one.at, "hint": one.hint, "rule": one.rule}
            for one in warnings
        ]
        self._store(hex_of(key), {"verdict": said}, not_before=None)

    def _load(self, name: str) -> dict[str, Any] | None:
        try:
            with open(self._root / name, "rb") as stream:
                size = os.fstat(stream.fileno()).st_size
                value = json.loads(stream.read(min(size, _SIZE_LIMIT)))
        except (OSError, ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None

    def _store(self, name: str, value: object, *, not_before: int | None) -> None:
        path = self._root / name
        # One name for all writers: what a killed one leaves is used up, and two at once at worst
        # make an entry that does not parse.
        temporary = self._root / f"{name}.partial"
        try:
            with open(temporary, "wb") as stream:
                stream.write(canonical_json.dumps(value))
                stream.flush()
                now = os.fstat(stream.fileno()).st_mtime_ns
            if not_before is not None and now < not_before:
                os.unlink(temporary)
            else:
                os.rename(temporary, path)
        except OSError:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def _inode_key(status: os.stat_result) -> str:
    """Return the name of the entry of a file: one per inode, so that changes do not pile up."""
    return sha256(f"{status.st_dev}:{status.st_ino}".encode()).hexdigest()


def _parse(value: dict[str, Any]) -> FileDigest:
    digits = [value["sha256"], *value["chunks"]]
    if not all(isinstance(d, str) and _HEX.fullmatch(d) for d in digits):
        raise InputError("not a sha256")
    return FileDigest(
        sha256=value["sha256"],
        chunks=tuple(value["chunks"]),
        layers={path: digests.parse(digest) for path, digest in value["layers"].items()},
    )
