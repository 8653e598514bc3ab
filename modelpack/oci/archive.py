"""Images in one tar file, for engines and for hands: OCI layout and `docker load` form at once."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

from modelpack.digest import Digest
from modelpack.oci.layer import Blob, Descriptor
from modelpack.oci.manifest import Manifest
from modelpack.progress import Advance

Kind = Literal["oci-archive", "docker-archive"]


def write(
    path: Path, manifest: Blob, blobs: Sequence[Blob], *, kind: Kind,
    names: Sequence[str] = (), advance: Advance,
) -> None:
    """Write the image `manifest` (or index) with `blobs`, everything below it, to `path`.

    `names` are full ones (`minilm:1.2.0`, `ghcr.io/acme/minilm:1.2.0`).
    """
    raise NotImplementedError


class Archive:
    """An archive to read from: ours, another tool's OCI archive, or `docker save`'s."""

    def __init__(self, path: Path) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...

    def read(self, what: Descriptor | Digest) -> bytes: ...

    def manifests(self) -> tuple[Descriptor, ...]: ...

    def resolve(self, name: str) -> Descriptor: ...

    def image(self, digest: Digest) -> Manifest: ...
