"""An OCI image layout on disk: written under a lock, read by anybody at any time."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO, Self

from modelpack.digest import Digest
from modelpack.oci.content import Sink
from modelpack.oci.layer import Blob, Descriptor
from modelpack.oci.manifest import Manifest
from modelpack.oci.store import KnownDigests, Root
from modelpack.oci.tar import Content
from modelpack.progress import SILENT, Advance, Progress


class Layout:
    """A Store in a folder; `with` takes its lock, which writing needs and reading does not."""

    def __init__(
        self, root: Path, *, known: KnownDigests | None = None, progress: Progress = SILENT
    ) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...

    def has(self, descriptor: Descriptor) -> bool: ...

    def write(self, blob: Blob, advance: Advance) -> bool: ...

    def write_all(self, blobs: Iterable[Blob], advance: Advance, *, threads: int = 4) -> None: ...

    def ingest(
        self, pieces: Sequence[Content], advance: Advance, *, sinks: Sequence[Sink] = ()
    ) -> tuple[Digest, int]: ...

    def read(self, what: Descriptor | Digest) -> bytes: ...

    def open_blob(self, what: Descriptor | Digest) -> BinaryIO: ...

    def commit(self, roots: Sequence[Root]) -> None: ...

    def manifests(self) -> tuple[Descriptor, ...]: ...

    def resolve(self, name: str) -> Descriptor: ...

    def image(self, digest: Digest) -> Manifest: ...
