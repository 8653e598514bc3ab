"""The image that is scanned: its layers with where their bytes are, and which hold only weights."""

import os
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from modelpack.digest import Digest
from modelpack.errors import ModelpackError
from modelpack.evidence.scan.sources import Source
from modelpack.inspection import configuration, description, parts
from modelpack.inspection.documents import Documents
from modelpack.inspection.value import PackageClaim
from modelpack.lock import Lock, PlatformLock, WeightsLock
from modelpack.oci.blobs import content_of
from modelpack.oci.image import Image
from modelpack.oci.layer import TAR, Absent, Blob, Descriptor, StoredFile
from modelpack.plan import is_own_layer
from modelpack.spec.folders import SYSTEM_FOLDERS


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One image of one platform."""

    manifest: Descriptor
    platform: str
    config: bytes
    config_type: str
    layers: tuple[Blob, ...]
    weights: Mapping[Digest, tuple[str, ...]]
    "layers that hold nothing but weights, with the files in them"
    packages: tuple[PackageClaim, ...] = ()
    "what its lock says that it holds"
    by_headers: bool = False
    "whether weights were told apart by the headers that a registry sent, unhashed"


def built(
    image: Image, platform: PlatformLock, weights: Mapping[Digest, tuple[str, ...]]
) -> Subject:
    """Return an image that was just made; `weights` are its layers that hold nothing else."""
    return Subject(
        manifest=image.manifest_blob.descriptor,
        platform=str(image.platform),
        config=content_of(image.config_blob),
        config_type=image.config_blob.descriptor.media_type,
        layers=tuple(layer.blob for layer in image.layers),
        weights=weights,
        packages=parts.packages(platform),
    )


def stored(
    source: Source,
    documents: Documents,
    *,
    known: AbstractSet[Digest] = frozenset(),
    by_headers: bool = False,
) -> Subject:
    """Return an image that lies somewhere, whose `documents` were read.

    What it says of its weights is not relied on: a layer counts as weights only when it is a
    plain tar of nothing but files that its lock names, in a folder where no packages are; or one
    of those that are `known` to be, by a lock that is not the image's.
    """
    manifest = documents.manifest
    media_type = manifest.config.media_type if manifest.config else ""
    settings = configuration.parse(documents.config_bytes, media_type)
    weights = {
        layer.digest: expected
        for layer, expected in said_weights(documents)
        if layer.digest in known or holds_only(source, layer, expected)
    }
    return Subject(
        manifest=replace(documents.descriptor, annotations={}),
        platform=settings.platform,
        config=documents.config_bytes,
        config_type=media_type,
        layers=tuple(
            _absolute(source.blob(layer)) if layer.digest not in weights
            else Blob(descriptor=layer, origin=Absent())
            for layer in manifest.layers
        ),
        weights=weights,
        packages=parts.packages(parts.platform_lock(_lock(documents), settings.platform)),
        by_headers=by_headers and not weights.keys() <= known,
    )  # fmt: skip


def said_weights(documents: Documents) -> tuple[tuple[Descriptor, tuple[str, ...]], ...]:
    """Return the layers that an image says are weights, and may be, with the files in them."""
    lock = _lock(documents)
    said = {
        digest: paths
        for weights in (lock.weights if lock else ())
        if not _over_system(weights.destination)
        for digest, paths in _by_layer(weights)
        if paths
    }
    return tuple(
        (layer, said[layer.digest])
        for layer in documents.manifest.layers
        if layer.media_type == TAR and layer.digest in said
    )


def _lock(documents: Documents) -> Lock | None:
    return description.parse(documents.meta.files if documents.meta else {}).lock


def _absolute(blob: Blob) -> Blob:
    if not isinstance(blob.origin, StoredFile):
        return blob
    return replace(blob, origin=StoredFile(os.path.abspath(blob.origin.path)))


def layers_of(lock: Lock | None) -> frozenset[Digest]:
    """Return the layers that hold nothing but weights, as a lock that is trusted says."""
    return frozenset(
        digest for weights in (lock.weights if lock else ()) for digest, _ in _by_layer(weights)
    )


def _by_layer(weights: WeightsLock) -> Iterable[tuple[Digest, tuple[str, ...]]]:
    place = weights.destination.rstrip("/")
    small = tuple(f"{place}/{file.path}" for file in weights.files if not is_own_layer(file))
    if weights.bundle is not None:
        yield weights.bundle, small
    for file in weights.files:
        if file.layer is not None and is_own_layer(file):
            yield file.layer, (f"{place}/{file.path}",)


def _over_system(destination: str) -> bool:
    place = f"{destination.rstrip('/')}/"
    return any(
        place.startswith(f"{folder}/") or f"{folder}/".startswith(place)
        for folder in SYSTEM_FOLDERS
    )


def holds_only(source: Source, layer: Descriptor, expected: Sequence[str]) -> bool:
    """Tell whether the tar `layer` has no files but `expected`."""
    try:
        names = source.names(layer)
    except ModelpackError:
        return False
    return {f"/{name}" for name in names} <= set(expected)
