"""From a store into an engine: the image streamed out of its blobs, nothing on disk in between."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from modelpack.digest import Digest, short
from modelpack.engine.door import Engine
from modelpack.errors import InputError, Unavailable
from modelpack.oci import archive, attestations
from modelpack.oci.layer import Blob, Descriptor
from modelpack.oci.manifest import INDEXES, MANIFEST_LIMIT, Manifest, parse
from modelpack.progress import Progress


class Source(Protocol):
    """A layout or an archive: blobs to read, and blobs to copy."""

    def read(self, what: Descriptor, *, limit: int = MANIFEST_LIMIT) -> bytes:
        """Return a small blob, its digest checked."""

    def blob(self, descriptor: Descriptor) -> Blob:
        """Return a blob to be copied elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """An image that an engine has now."""

    id: str
    "under which the engine knows it"
    manifest: Digest
    config: Digest
    names: tuple[str, ...]
    sent: int
    "bytes that went to the engine; 0: it had the image already"


def load(
    engine: Engine, source: Source, root: Descriptor, *, names: Sequence[str], progress: Progress
) -> Loaded:
    """Give `engine` the image that `root` leads to, of its own platform, under `names`.

    Nothing is sent when it has the image. Raises Unavailable when it cannot read its layers.
    """
    descriptor, manifest = image_for(engine, source, root)
    if manifest.config is None:
        raise InputError("not an image", at=descriptor.digest)
    config = manifest.config
    sent, held = 0, _held(engine, descriptor, config)
    if held is None:
        check_compression(engine, [layer.media_type for layer in manifest.layers])
        blobs = [source.blob(layer) for layer in (*manifest.layers, config)]
        sent = _send(engine, source.blob(descriptor), blobs, names, progress)
        held = _held(engine, descriptor, config)
        if held is None:
            raise Unavailable(
                f"the engine took the image, and has no image {config.digest} afterwards",
                at=str(engine.about),
            )
    else:
        for name in names:
            engine.tag(held, name)
    return Loaded(
        id=held, manifest=descriptor.digest, config=config.digest, names=tuple(names), sent=sent
    )


def image_for(engine: Engine, source: Source, root: Descriptor) -> tuple[Descriptor, Manifest]:
    """Return the image that `root`, a manifest or an index, has for the engine's platform."""
    manifest = parse(source.read(root), at=root.digest)
    if root.media_type not in INDEXES and manifest.config is not None:
        return root, manifest
    images = [child for child in manifest.manifests if attestations.is_image(child)]
    for child in images:
        if child.platform in (engine.about.platform, None):
            return child, parse(source.read(child), at=child.digest)
    known = ", ".join(dict.fromkeys(f"`{child.platform}`" for child in images))
    raise InputError(
        f"there is no image for `{engine.about.platform}`, which the engine runs", at=root.digest,
        hint=f"there are {known}" if known else "",
    )  # fmt: skip


def check_compression(engine: Engine, media_types: Sequence[str]) -> None:
    """Raise Unavailable before anything is sent that the engine cannot read."""
    if any(kind.endswith("zstd") for kind in media_types) and not engine.about.reads_zstd:
        raise Unavailable(
            "the engine cannot read layers compressed with zstd", at=str(engine.about),
            hint='Docker 23 or newer can; or build with `compression = "gzip"`',
        )  # fmt: skip


def held(engine: Engine, source: Source, root: Descriptor) -> str | None:
    """Return the engine's id of the image that `root` leads to, if it has exactly this one."""
    descriptor, manifest = image_for(engine, source, root)
    return _held(engine, descriptor, manifest.config) if manifest.config else None


def _held(engine: Engine, manifest: Descriptor, config: Descriptor) -> str | None:
    """Return the id of exactly this image in the engine: by configuration, else by manifest."""
    for digest in (config.digest, manifest.digest):
        held = engine.image(digest)
        if held is not None and held.id == digest:
            return held.id
    return None


def _send(
    engine: Engine, manifest: Blob, blobs: Sequence[Blob], names: Sequence[str], progress: Progress
) -> int:
    stream = archive.Streamed(manifest, blobs, names=names)
    with progress.task(f"loading {short(manifest.digest)}", stream.size) as advance:

        def counted() -> Iterator[bytes]:
            for block in stream:
                yield block
                advance(len(block))

        engine.load(counted(), progress)
    return stream.size
