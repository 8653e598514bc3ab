"""Model artifacts of other tools in a place far away, which counts what is fetched of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from modelpack import canonical_json
from modelpack.digest import Digest
from modelpack.oci.layer import MANIFEST, Blob, Descriptor, Partial, Remote, blob_of
from modelpack.oci.manifest import MANIFEST_LIMIT
from modelpack.oci.tar import Entry, bytes_of, pieces
from modelpack.progress import Advance

CNCF, KIT = "application/vnd.cncf.model.", "application/vnd.kitops.modelkit."
PATH = "org.cncf.model.filepath"


@dataclass
class FarShelf:
    """Blobs that are far away: ranges are fetched, and what was fetched is counted."""

    blobs: dict[Digest, Blob] = field(default_factory=dict)
    fetched: int = 0
    repository: str = "far.example/a"
    spoil: Callable[[bytes], bytes] = bytes
    "what becomes of a range on its way"

    def add(self, data: bytes, media_type: str) -> dict[str, Any]:
        blob = blob_of(data, media_type)
        self.blobs[blob.digest] = blob
        return blob.descriptor.as_json()

    def content(self, digest: Digest) -> bytes:
        return b"".join(bytes_of(piece) for piece in self.blobs[digest].origin.pieces)  # type: ignore[union-attr]

    def read(self, what: Descriptor, *, limit: int = MANIFEST_LIMIT) -> bytes:
        return self.content(what.digest)

    def blob(self, descriptor: Descriptor) -> Blob:
        return Blob(descriptor=descriptor, origin=Remote(self))

    def resolve(self, name: str) -> Descriptor:
        raise NotImplementedError

    def chunks(self, descriptor: Descriptor, start: int, length: int) -> Iterator[bytes]:
        data = self.content(descriptor.digest)[start : start + length]
        self.fetched += len(data)
        yield self.spoil(data)

    def fill(self, into: Partial, descriptor: Descriptor, advance: Advance) -> None:
        raise NotImplementedError


def tar(*entries: Entry) -> bytes:
    return b"".join(bytes_of(piece) for piece in pieces(entries))


def made(
    shelf: FarShelf, layers: Sequence[Mapping[str, Any]], config: Mapping[str, Any],
    media_type: str = f"{CNCF}config.v1+json",
) -> Descriptor:  # fmt: skip
    value = {
        "schemaVersion": 2, "mediaType": MANIFEST, "layers": list(layers),
        "config": shelf.add(canonical_json.dumps(config), media_type),
        "artifactType": media_type.replace("config", "manifest"),
    }  # fmt: skip
    blob = blob_of(canonical_json.dumps(value), MANIFEST)
    shelf.blobs[blob.digest] = blob
    return blob.descriptor


def cncf(*layers: Mapping[str, Any], **said: Any) -> dict[str, Any]:
    return {
        "descriptor": {"name": "theirs", "version": "2", **said},
        "config": {"format": "safetensors", "paramSize": "0.1k"},
        "modelfs": {"type": "layers", "diffIds": [one["digest"] for one in layers]},
    }


def entry(value: Mapping[str, Any], path: str) -> dict[str, Any]:
    return {**value, "annotations": {PATH: path}}
